"""Studies in SQLite or PostgreSQL: created, resumed under their pins, or forked.

Optuna's relational storage with a heartbeat: a trial whose process is gone is found
out, failed and queued again (its journal files would leave it running for ever). SQLite
is set to a write-ahead log, so that workers wait for one another shortly.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from normgate.errors import SettingsError, TrackingError
from normgate.tune.pins import differences
from normgate.tune.slots import MOST_KILLS, SLOT, slots_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optuna import Study, Trial
    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

    from normgate.engine.tunable import Setting
    from normgate.tune.goal import Goal

_logger = logging.getLogger(__name__)
PINS = "normgate.pins"
FORKED = "normgate.forked_from"
_SQLITE = "sqlite:///"
SILENCE = timedelta(minutes=2)
"""How long a trial may be without parameters before its process is taken for dead."""
_WAIT_S = 60
"""How long a worker waits for another one's write."""
GRACES = 3
"""Heartbeats that may be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlace:
    """Where a study is."""

    name: str
    url: str
    """`sqlite:///<file>` or `postgresql://...`."""
    heartbeat_s: int = 10
    """Seconds between two signs of life of a running trial."""


def open_storage(place: StudyPlace) -> RDBStorage:
    """Connect to a study's database, made where it is missing.

    Raises:
        TrackingError: It can't be opened.
    """
    options: dict[str, Any] = {}
    if place.url.startswith(_SQLITE):
        options["connect_args"] = {"timeout": _WAIT_S}
    try:
        if place.url.startswith(_SQLITE):
            _prepare(Path(place.url.removeprefix(_SQLITE)))
        with experimental():
            storage = RDBStorage(
                place.url,
                engine_kwargs=options,
                heartbeat_interval=place.heartbeat_s,
                grace_period=GRACES * place.heartbeat_s,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
                    max_retry=MOST_KILLS
                ),
            )
        if place.url.startswith(_SQLITE):
            _soften(storage.engine)
        return storage
    except (SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        raise TrackingError(
            f"the study's database {_shown(place.url)} can't be opened: "
            f"{str(error)[:300]}; give storage=sqlite:///<file> or postgresql://..."
        ) from error


def open_study(
    place: StudyPlace, pins: Mapping[str, Any], goal: Goal, *, fork: bool = False
) -> Study:
    """Create a study, or resume the one of this name if it is the same.

    Args:
        place: Where it is.
        pins: What it is held to.
        goal: Its objectives.
        fork: Whether to begin another study where the pins differ.

    Raises:
        SettingsError: The study was begun with other pins; each is named.
        TrackingError: The database can't be opened.
    """
    storage = open_storage(place)
    name, origin = place.name, ""
    while True:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=list(goal.directions),
            load_if_exists=True,
        )
        known = study.user_attrs.get(PINS)
        if known is None:
            return _begun(study, pins, goal, origin)
        differing = differences(known, pins)
        if not differing:
            return study
        if not fork:
            raise SettingsError(
                f"study {name} was begun otherwise, and trials of both can't be "
                f"compared: {'; '.join(differing)}. Resume it as it was, give another "
                "study=..., or fork=true to begin a new one beside it"
            )
        origin, name = name, _next_name(name)
        _logger.info("forking study %s to %s: %s", origin, name, "; ".join(differing))


def add_slots(study: Study, total: int, first: Mapping[str, Setting] | None) -> None:
    """Queue what is missing to a number of trials.

    Args:
        study: The study.
        total: Trials in all; a study that has more keeps them.
        first: Parameters of the first trial; None leaves them to the sampler.
    """
    present = slots_of(study.get_trials(deepcopy=False))
    begin = present[-1].number + 1 if present else 0
    for number in range(begin, total):
        fixed = dict(first) if first is not None and number == 0 else {}
        study.enqueue_trial(fixed, user_attrs={SLOT: number})


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a trial that ended with its process, with the same parameters."""
    trial.user_attrs = {SLOT: trial.user_attrs[SLOT]}
    with experimental():
        RetryHeartbeatStaleTrialCallback()(study, trial)


def fail_dead(study: Study, now: datetime | None = None) -> None:
    """Fail the trials whose process is gone, so that they are queued again.

    Optuna knows those whose heartbeat has stopped. One whose process ended before its
    first heartbeat would run for ever: it has no parameters either, for a worker gives
    a sign of life before it asks for any.
    """
    with experimental():
        optuna.storages.fail_stale_trials(study)
    limit = (now or datetime.now()) - SILENCE
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not trial.params and trial.datetime_start and trial.datetime_start < limit:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def give_sign(study: Study, trial: Trial) -> None:
    """Record a heartbeat at once; Optuna's own thread may be late on a busy machine."""
    storage = study._storage
    if isinstance(storage, BaseHeartbeat):
        storage.record_heartbeat(trial._trial_id)


@contextlib.contextmanager
def experimental() -> Iterator[None]:
    """Optuna calls heartbeats experimental; that is known and taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _begun(study: Study, pins: Mapping[str, Any], goal: Goal, origin: str) -> Study:
    with experimental():
        study.set_metric_names(list(goal.names))
    if origin:
        study.set_user_attr(FORKED, origin)
    study.set_user_attr(PINS, dict(pins))
    return study


def _next_name(name: str) -> str:
    stem, _, number = name.rpartition("-fork")
    return f"{stem}-fork{int(number) + 1}" if number.isdigit() else f"{name}-fork1"


def _prepare(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=_WAIT_S)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _soften(engine: Engine) -> None:
    """Let SQLite sync its log only now and then.

    A killed process loses nothing by it; a power cut may take the last trials' ends,
    which are then run again.
    """

    def soften(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", soften)
    engine.dispose()  # those that were opened before


def _shown(url: str) -> str:
    """A URL without what stands before its host."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
