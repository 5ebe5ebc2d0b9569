"""Closes runs that dead processes of this machine left RUNNING.

A stamped run is closed when its process has certainly ended. A run that `mlflow run`
made but no entry ever stamped (its environment could not be built, say) is closed
only if it is old enough, its database is a file of this machine, and no process here
could still be about to start it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import ViewType
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_TYPE

from mlflow_normgate.mlruns import REAPED_TAG
from mlflow_normgate.process import (
    HOST_TAG,
    PROCESS_TAG,
    is_dead,
    own_stamp,
    parse_stamp,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_logger = logging.getLogger(__name__)
UNSTAMPED_AGE_S = 3600.0
_INITIAL_SPACE = "pid:[4026531836]"
_RUNNING = "attributes.status = 'RUNNING'"


@dataclass(frozen=True, slots=True)
class Reaped:
    """A run that was closed, and why."""

    run_id: str
    name: str
    reason: str


def reap(
    client: MlflowClient,
    experiment_ids: list[str],
    *,
    unstamped_age_s: float = UNSTAMPED_AGE_S,
) -> list[Reaped]:
    """Close as KILLED every run whose process is certainly gone.

    Args:
        client: A client of the tracking server.
        experiment_ids: Where to look.
        unstamped_age_s: Seconds after which a run of `mlflow run` that no entry
            began may be closed.

    Returns:
        What was closed; each has tag `normgate.reaped` with the reason.
    """
    runs = [
        *_search(client, experiment_ids, f"tags.`{HOST_TAG}` = '{own_stamp().host}'"),
        *_search(client, experiment_ids, f"tags.`{MLFLOW_SOURCE_TYPE}` = 'PROJECT'"),
    ]
    reasons = {
        run.info.run_id: (run, _reason(run, client, unstamped_age_s)) for run in runs
    }
    return [
        _close(client, run, reason)
        for run, reason in reasons.values()
        if reason is not None
    ]


def _search(client: MlflowClient, experiments: list[str], condition: str) -> list[Run]:
    return list(
        client.search_runs(
            experiments,
            filter_string=f"{_RUNNING} and {condition}",
            run_view_type=ViewType.ACTIVE_ONLY,
        )
    )


def _reason(run: Run, client: MlflowClient, unstamped_age_s: float) -> str | None:
    """Why a run is certainly abandoned, or None."""
    stamp = parse_stamp(run.data.tags.get(PROCESS_TAG, ""))
    if stamp is not None:
        if not is_dead(stamp):
            return None
        return f"process {stamp.pid} on {stamp.host} ended without closing the run"
    age_s = time.time() - run.info.start_time / 1000
    if age_s < unstamped_age_s or not _is_local(client.tracking_uri):
        return None
    if _may_be_starting(run):
        return None
    return f"no entry began the run within {age_s:.0f} s, and no process is about to"


def _close(client: MlflowClient, run: Run, reason: str) -> Reaped:
    run_id = run.info.run_id
    client.set_tag(run_id, REAPED_TAG, reason)
    client.set_terminated(run_id, "KILLED")
    name = run.info.run_name or run_id
    _logger.warning("closed run %s (%s) as KILLED: %s", name, run_id, reason)
    return Reaped(run_id, name, reason)


def _is_local(uri: str) -> bool:
    """Whether the runs are kept in a file of this machine."""
    return uri.startswith("sqlite:")


def _may_be_starting(run: Run) -> bool:
    """Whether some process here could have made the run and still begin it."""
    if own_stamp().space != _INITIAL_SPACE:
        return True  # in a container other processes can't be seen
    mark = f"MLFLOW_RUN_ID={run.info.run_id}".encode()
    created_s = run.info.start_time / 1000
    return any(
        mark in process.environment
        or (process.looks_like_python and process.started_s <= created_s)
        for process in _other_processes()
    )


@dataclass(frozen=True, slots=True)
class _Process:
    command: bytes
    environment: tuple[bytes, ...]
    started_s: float

    @property
    def looks_like_python(self) -> bool:
        """Whether it could be an `mlflow run`; MLflow's own servers are none."""
        if b"mlflow.server" in self.command or b"mlflow\0ui" in self.command:
            return False
        if b"mlflow\0server" in self.command:
            return False
        return b"python" in self.command or b"mlflow" in self.command


def _other_processes() -> list[_Process]:
    own = own_stamp().pid
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    found = (_process(pid) for pid in pids if pid != own)
    return [process for process in found if process is not None]


def _process(pid: int) -> _Process | None:
    folder = Path(f"/proc/{pid}")
    try:
        command = (folder / "cmdline").read_bytes()
        started_s = folder.stat().st_mtime
    except OSError:
        return None
    try:
        environment = tuple((folder / "environ").read_bytes().split(b"\0"))
    except OSError:
        environment = ()
    return _Process(command, environment, started_s)
