"""What every entry point stands in: logging, signals, its MLflow run, its exit code.

    with run_entry("measure", params) as run:
        run.tracker.metrics({"images": 384}, step=0)

A user's error ends in one sentence and code 2, a stop by a signal in 128 plus its
number, anything else in a traceback and code 1; the run ends FAILED, KILLED or
FINISHED accordingly.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_normgate.closer import leave_closer
from mlflow_normgate.reaper import reap
from mlflow_normgate.runs import Place, Run, identity_of, parent_run
from mlflow_normgate.stopping import stopping_on_signals, watch_launcher
from mlflow_normgate.sync import sync_folder
from normgate.errors import Interrupted, NormgateError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from normgate.tracker import Scalar

_logger = logging.getLogger(__name__)
EXPERIMENT = "normgate"
SPOOL_ENV = "NORMGATE_SPOOL"
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The spool retries for as long as it takes; a single call should not block.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@contextmanager
def run_entry(
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str] | None = None,
    identity: Mapping[str, object] | None = None,
) -> Iterator[Run]:
    """Run an entry's work inside its MLflow run, and leave the process truthfully.

    Args:
        name: The entry, as in MLproject.
        params: Its parameters as they were understood; they are logged.
        tags: Marks of the run.
        identity: Those settings that a rerun must share to resume this run; all of
            `params` by default. Leave out what changes no result, such as workers.

    Raises:
        SystemExit: On an error: 2 for a user's, 130 or 143 for a stop. What was not
            foreseen is raised as it is, and Python leaves with code 1.
    """
    configure_logging()
    with _exit_codes(), stopping_on_signals():
        launched = os.environ.get("MLFLOW_RUN_ID")
        launcher = watch_launcher(launched) if launched else None
        place = open_place()
        _tidy(place)
        digest = identity_of(name, _plain(params if identity is None else identity))
        marks = {"normgate.entry": name, **(tags or {})}
        try:
            with parent_run(place, name, digest, marks) as run:
                _logger.info("%s: run %s begins", name, run.run_id)
                run.tracker.params(_plain(params))
                yield run
        except (Interrupted, KeyboardInterrupt):
            if launched and launcher is not None:
                leave_closer(place.tracking_uri, launched, launcher)
            raise
        finally:
            _send_leftovers(place)
        _logger.info("%s: done; see the run %s", name, _where(run))


def _plain(values: Mapping[str, object]) -> dict[str, Scalar]:
    """Values as MLflow shows them: a path as its text, nothing as an empty text."""
    return {
        key: value
        if isinstance(value, (str, int, float))
        else ("" if value is None else str(value))
        for key, value in values.items()
    }


def _where(run: Run) -> str:
    """How to look at a run: its address, or the command that shows its database."""
    uri = run.place.tracking_uri
    page = f"#/experiments/{run.place.experiment_id}/runs/{run.run_id}"
    if uri.startswith("http"):
        return f"at {uri.rstrip('/')}/{page}"
    return f"with `mlflow ui --backend-store-uri {uri}`, then /{page}"


def configure_logging() -> None:
    """Show what normgate says as plain lines on stderr."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )
    for chatty in ("alembic", "mlflow.store.db.utils", "matplotlib", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def open_place() -> Place:
    """The experiment of this process, by MLflow's own environment variables.

    MLFLOW_TRACKING_URI (default: `mlflow.db` in the working folder),
    MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME (default: `normgate`), and
    NORMGATE_SPOOL for the folder of spools (default: `work/spool`).

    Raises:
        TrackingError: The server can't be reached, or the experiment is missing.
    """
    for key, value in _DEFAULTS.items():
        os.environ.setdefault(key, value)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd()}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    try:
        experiment_id = _experiment_id(MlflowClient(uri))
    except MlflowException as error:
        raise TrackingError(
            f"the tracking server {uri} can't be used: {str(error)[:300]}; check "
            "MLFLOW_TRACKING_URI and that the server runs"
        ) from error
    spool_root = Path(os.environ.get(SPOOL_ENV) or Path("work") / "spool").absolute()
    return Place(tracking_uri=uri, experiment_id=experiment_id, spool_root=spool_root)


def _experiment_id(client: MlflowClient) -> str:
    known = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if known:
        return str(client.get_experiment(known).experiment_id)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} is deleted; restore it or set "
            "MLFLOW_EXPERIMENT_NAME to another"
        )
    return str(found.experiment_id)


def _tidy(place: Place) -> None:
    """Send what earlier processes left, then close the runs of dead ones."""
    _send_leftovers(place)
    try:
        reap(place.client(), [place.experiment_id])
    except MlflowException as error:
        _logger.warning("runs of dead processes were not looked for: %s", error)


def _send_leftovers(place: Place) -> None:
    if not place.spool_root.is_dir():
        return
    for result in sync_folder(place.spool_root):
        if result.sent:
            _logger.info("sent %d records of %s", result.sent, result.folder)
        if result.waiting:
            _logger.warning(
                "%d records wait in %s; send them with `normgate sync %s`",
                result.waiting,
                result.folder,
                place.spool_root,
            )


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except Interrupted as stop:
        click.echo(str(stop), err=True)
        raise SystemExit(128 + stop.signal_number) from stop
    except KeyboardInterrupt as stop:
        raise SystemExit(128 + signal.SIGINT) from stop
    except NormgateError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from error
