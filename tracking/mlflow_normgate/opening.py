"""Opens a run: created, adopted, opened again or found finished.

The rules are told in `mlflow_normgate.runs`, which also ends what is opened here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mlflow_normgate import mlruns
from mlflow_normgate.process import PROCESS_TAG, is_dead, parse_stamp
from mlflow_normgate.spool import Header, now_ms
from mlflow_normgate.tracker import Known, MlflowTracker
from normgate.errors import TrackingError
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where runs are kept: a tracking server's experiment, and spools on this disk."""

    tracking_uri: str
    experiment_id: str
    spool_root: Path
    close_patience_s: float = 20.0
    """Seconds that the end of a run waits for an absent server."""

    def client(self) -> MlflowClient:
        """A client of the server; no global state of MLflow is used."""
        return MlflowClient(self.tracking_uri)


class Run:
    """A run while this process works on it.

    Attributes:
        place: Where it is kept.
        name: What it is called in the UI.
        identity: Digest of its settings.
        client: A client of its tracking server.
        tracker: Where to report; of a finished run, a tracker that keeps nothing.
        resumed: It was begun by an earlier process and is being continued.
        finished: An earlier process finished it: skip the work.
    """

    def __init__(
        self,
        place: Place,
        header: Header,
        known: Known | None,
        *,
        resumed: bool = False,
        finished: bool = False,
    ) -> None:
        self.place = place
        self.name = header.name
        self.identity = header.identity
        self.resumed = resumed
        self.finished = finished
        self.client = place.client()
        self._known_id = header.run_id
        self.tracker: MlflowTracker | NullTracker = (
            NullTracker()
            if finished
            else MlflowTracker(place.spool_root, header, known, place.close_patience_s)
        )

    @property
    def run_id(self) -> str:
        """The run's id on the server.

        Raises:
            TrackingError: The server has been away since before the run was opened.
        """
        tracker = self.tracker
        found = tracker.run_id if isinstance(tracker, MlflowTracker) else None
        run_id = self._known_id or found
        if run_id is None:
            raise TrackingError(
                f"run {self.name!r} has no id yet, because the tracking server "
                f"{self.place.tracking_uri} has not answered since it began; its "
                f"records wait in {self.place.spool_root}"
            )
        return run_id

    def end(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED; nothing if it was skipped."""
        if isinstance(self.tracker, MlflowTracker):
            self.tracker.end(status)


def open_parent(
    place: Place,
    name: str,
    identity: str,
    tags: Mapping[str, str],
    adopted_id: str | None,
) -> Run:
    """Open an entry's run on a server that must answer.

    Args:
        place: Where the run is kept.
        name: What to call it.
        identity: Digest of its settings.
        tags: Its marks.
        adopted_id: The run that `mlflow run` made for this process.

    Raises:
        TrackingError: A live process has a run of this identity open.
        MlflowException: The server is away or refuses.
    """
    client = place.client()
    if adopted_id is not None:
        adopted = client.get_run(adopted_id)
        if mlruns.has_generated_name(adopted):
            client.update_run(adopted_id, name=name)
        return _reopened(place, name, identity, tags, adopted)
    for run in mlruns.find_runs(client, place.experiment_id, identity):
        if run.info.status != "FINISHED" and _may_take(run):
            _logger.info("resuming run %s (%s)", run.info.run_name, run.info.run_id)
            return _reopened(place, name, identity, tags, run)
    return _created(place, name, identity, tags)


def join(place: Place, run_id: str) -> Run:
    """A run that another process works on, as a parent for children.

    Raises:
        MlflowException: The server is away, or has no such run.
    """
    run = place.client().get_run(run_id)
    identity = run.data.tags.get(mlruns.IDENTITY_TAG, "")
    header = _header(place, run.info.run_name, identity, {}, run=run)
    return Run(place, header, None, finished=True)


def open_child(parent: Run, name: str, identity: str, tags: Mapping[str, str]) -> Run:
    """Open a part of a parent's work, on the server or, if that is away, without it.

    Raises:
        TrackingError: A live process has it open, or the server refuses it.
    """
    place = parent.place
    try:
        return _open_child_online(parent, name, identity, tags)
    except TrackingError:
        raise
    except Exception as error:
        if mlruns.is_refusal(error):
            raise TrackingError(f"run {name!r} can't be opened: {error}") from error
        _logger.warning(
            "the tracking server is away: run %r begins without it and is created "
            "there when it is back (%s)",
            name,
            str(error)[:200],
        )
        header = _header(place, name, identity, tags, parent_identity=parent.identity)
        return Run(place, header, None)


def _open_child_online(
    parent: Run, name: str, identity: str, tags: Mapping[str, str]
) -> Run:
    place = parent.place
    client = parent.client
    parent_id = parent.run_id
    linked = {**tags, MLFLOW_PARENT_RUN_ID: parent_id}
    found = mlruns.find_runs(client, place.experiment_id, identity)
    finished = [run for run in found if run.info.status == "FINISHED"]
    if finished:
        _follow_parent(parent, finished[0])
        header = _header(place, name, identity, tags, run=finished[0])
        return Run(place, header, None, finished=True)
    for run in found:
        if _may_take(run):
            _follow_parent(parent, run)
            return _reopened(place, name, identity, linked, run)
    return _created(place, name, identity, linked)


def _follow_parent(parent: Run, child: MlflowRun) -> None:
    """Move a child from an unfinished former parent, or note whose child it is."""
    former = child.data.tags.get(MLFLOW_PARENT_RUN_ID)
    if former in (None, parent.run_id):
        return
    client = parent.client
    if client.get_run(former).info.status == "FINISHED":
        client.set_tag(parent.run_id, mlruns.REUSES_TAG, former)
        return
    client.set_tag(child.info.run_id, MLFLOW_PARENT_RUN_ID, parent.run_id)
    client.set_tag(former, mlruns.SUPERSEDED_TAG, parent.run_id)


def _may_take(run: MlflowRun) -> bool:
    """Whether an unfinished run may be continued by this process.

    Raises:
        TrackingError: A live process of this machine has it open.
    """
    if run.info.status not in {"RUNNING", "SCHEDULED"}:
        return True
    stamp = parse_stamp(run.data.tags.get(PROCESS_TAG, ""))
    if stamp is None:
        return False
    if stamp.is_own() or is_dead(stamp):
        return True
    if stamp.is_near():
        raise TrackingError(
            f"process {stamp.pid} works on run {run.info.run_name!r} "
            f"({run.info.run_id}) with the same settings; wait for it or stop it"
        )
    _logger.warning(
        "run %s with the same settings is RUNNING on host %s; a new run is made",
        run.info.run_id,
        stamp.host,
    )
    return False


def _reopened(
    place: Place, name: str, identity: str, tags: Mapping[str, str], run: MlflowRun
) -> Run:
    client = place.client()
    marks = {**tags, mlruns.IDENTITY_TAG: identity, **mlruns.stamp_tags()}
    resumed = mlruns.IDENTITY_TAG in run.data.tags
    mlruns.reopen(client, run, marks)
    known = Known.of(client, run.info.run_id, points=resumed)
    header = _header(place, name, identity, tags, run=run)
    return Run(place, header, known, resumed=resumed)


def _created(place: Place, name: str, identity: str, tags: Mapping[str, str]) -> Run:
    header = _header(place, name, identity, tags)
    run = mlruns.create(place.client(), header, {})
    return Run(place, _header(place, name, identity, tags, run=run), None)


def _header(
    place: Place,
    name: str,
    identity: str,
    tags: Mapping[str, str],
    *,
    run: MlflowRun | None = None,
    parent_identity: str | None = None,
) -> Header:
    marks = {**tags, mlruns.IDENTITY_TAG: identity, **mlruns.stamp_tags()}
    return Header(
        tracking_uri=place.tracking_uri,
        experiment_id=place.experiment_id,
        name=name,
        identity=identity,
        run_id=None if run is None else run.info.run_id,
        tags={**resolve_tags(), **marks},
        parent_identity=parent_identity,
        start_ms=now_ms(),
    )
