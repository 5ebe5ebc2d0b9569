"""Studies in a real database: run, resumed, refused, forked, interrupted, retried."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.storages._cached_storage import _CachedStorage
from tests.tune.studies import setup
from tests.tune.toy import ToyTunable

from normgate.errors import (
    DataError,
    Interrupted,
    NormgateError,
    SettingsError,
    TrackingError,
)
from normgate.tracker import NullTracker
from normgate.tune.analysis import rows_of
from normgate.tune.storage import FORKED, StudyPlace, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.postgresql import Postgresql

    from normgate.engine.tunable import Setting
    from normgate.tracker import Tracker

optuna.logging.set_verbosity(optuna.logging.CRITICAL)


@dataclass
class ListRecorder:
    """Remembers which trainings were opened, and how each ended."""

    ends: list[tuple[str, str]] = field(default_factory=list)

    @contextmanager
    def open(self, name: str, settings: Mapping[str, Setting]) -> Iterator[Tracker]:
        try:
            yield NullTracker()
        except BaseException as error:
            self.ends.append((name, type(error).__name__))
            raise
        self.ends.append((name, "ok"))


def states(study: optuna.Study) -> list[str]:
    return [row.state for row in rows_of(study)]


def test_a_study_runs_every_trial_once_and_begins_with_the_preset(
    tmp_path: Path,
) -> None:
    made, recorder = setup(tmp_path, 5), ListRecorder()
    made.work(recorder)
    rows = rows_of(made.study)
    assert [row.state for row in rows] == ["complete"] * 5
    assert rows[0].params == {"smooth": 0.1, "shrink": 0.01}
    assert recorder.ends == [(f"trial {number}", "ok") for number in range(5)]
    assert {seed for _, seed in made.tunable.trained} == {0}
    assert all(row.kept and set(row.kept.metrics) == {"r2", "rough"} for row in rows)


def test_a_finished_study_runs_nothing_and_a_longer_one_what_lacks(
    tmp_path: Path,
) -> None:
    setup(tmp_path, 3).work()
    again = setup(tmp_path, 3)
    again.work()
    assert again.tunable.trained == []
    longer = setup(tmp_path, 5)
    longer.work()
    assert [name for name, _ in longer.tunable.trained] == ["trial-0003", "trial-0004"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_resumed_study_does_not_propose_the_same_again(
    tmp_path: Path, sampler: str
) -> None:
    tries = iter([True] * 3 + [False])
    setup(tmp_path, 6, sampler=sampler).work(wanted=lambda: next(tries))
    rest = setup(tmp_path, 6, sampler=sampler)
    rest.work()
    assert len(rest.tunable.trained) == 3
    proposed = [tuple(row.params.values()) for row in rows_of(rest.study)]
    assert len(set(proposed)) == 6


def close(study: optuna.Study) -> None:
    """Close the connections that Optuna keeps for the life of a process."""
    storage = study._storage
    assert isinstance(storage, _CachedStorage)
    storage.remove_session()
    storage._backend.engine.dispose()


@pytest.mark.slow
def test_workers_share_a_study_in_postgresql(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    url = postgresql.create(bare=True)
    one, two = (setup(tmp_path, 6, worker=at, url=url) for at in range(2))
    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(made.work) for made in (one, two)]:
            ended.result()
    assert states(one.study) == ["complete"] * 6
    names = [name for made in (one, two) for name, _ in made.tunable.trained]
    assert sorted(names) == [f"trial-{number:04d}" for number in range(6)]
    for made in (one, two):
        close(made.study)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"spec_digest": "6" * 64}, "spec_digest was 555", id="spec"),
        pytest.param({"data_digest": "e" * 64}, "data_digest was ddd", id="data"),
        pytest.param({"epochs": 9}, "budget.epochs was 4 and is 9", id="budget"),
        pytest.param(
            {"smooth": "0.01:1"}, "space.searched.smooth.high was 10.0", id="space"
        ),
        pytest.param({"objectives": ("r2",)}, "goal.objectives.rough", id="goal"),
        pytest.param({"desirable": True}, "goal.desirable was False", id="desirable"),
        pytest.param({"code": "other"}, "code was ", id="code"),
    ],
)
def test_a_study_that_was_begun_otherwise_is_not_resumed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    words: str,
) -> None:
    setup(tmp_path, 1)
    if code := changed.pop("code", None):
        monkeypatch.setattr("normgate.tune.pins.code_version", lambda: code)
    names = {"spec_digest", "data_digest", "epochs"}
    tunable = ToyTunable(**{k: v for k, v in changed.items() if k in names})
    rest = {k: v for k, v in changed.items() if k not in names}
    with pytest.raises(SettingsError) as refused:
        setup(tmp_path, 1, tunable, **rest)
    assert words in str(refused.value)
    assert "fork=true" in str(refused.value)

    forked = setup(tmp_path, 1, tunable, fork=True, **rest)
    assert forked.study.study_name == "toy-fork1"
    assert forked.study.user_attrs[FORKED] == "toy"
    assert setup(tmp_path, 1, tunable, fork=True, **rest).study.study_name == (
        "toy-fork1"
    )


def test_a_trial_that_fails_counts_and_keeps_its_reason(tmp_path: Path) -> None:
    def fail(settings: Mapping[str, Setting], seed: int) -> None:
        if settings["smooth"] == 0.1:
            raise DataError("the loss is nan.")

    made, recorder = setup(tmp_path, 3, ToyTunable(before=fail)), ListRecorder()
    made.work(recorder)
    assert states(made.study) == ["failed", "complete", "complete"]
    assert rows_of(made.study)[0].reason == "the loss is nan."
    assert recorder.ends[0] == ("trial 0", "DataError")


def test_a_study_in_which_everything_fails_stops_and_says_why(tmp_path: Path) -> None:
    def fail(settings: Mapping[str, Setting], seed: int) -> None:
        raise DataError("no data.")

    made = setup(tmp_path, 20, ToyTunable(before=fail))
    with pytest.raises(NormgateError, match=r"all 4 trials so far failed.*no data"):
        made.work()


def test_a_stopped_trial_waits_again_with_its_settings(tmp_path: Path) -> None:
    def stop(settings: Mapping[str, Setting], seed: int) -> None:
        if settings["smooth"] != 0.1:
            raise Interrupted(15)

    made = setup(tmp_path, 3, ToyTunable(before=stop))
    with pytest.raises(Interrupted):
        made.work()
    assert sorted(states(made.study)) == ["complete", "waiting", "waiting"]
    stopped = rows_of(made.study)[1]
    resumed = setup(tmp_path, 3)
    resumed.work()
    assert states(resumed.study) == ["complete"] * 3
    assert rows_of(resumed.study)[1].params == stopped.params
    assert rows_of(resumed.study)[1].kills == 0
    assert len(resumed.study.get_trials()) == 4


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_without_a_heartbeat_is_run_again_and_not_counted(
    tmp_path: Path,
) -> None:
    """As kill -9 leaves it: running, with a last sign of life long ago."""
    made = setup(tmp_path, 3)
    dead = made.study.ask()
    settings = made.space.suggested(dead)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute(
            "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, ?)",
            (dead._trial_id, "2020-01-01 00:00:00"),
        )
        database.commit()
    made.work()
    rows = rows_of(made.study)
    assert [row.state for row in rows] == ["complete"] * 3
    assert [row.kills for row in rows] == [1, 0, 0]
    assert {**rows[0].params, "mse": 1.0} == settings
    assert len(made.tunable.trained) == 3


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_that_died_before_its_first_heartbeat_is_run_again(
    tmp_path: Path,
) -> None:
    """Optuna never calls it stale, and the study would wait for it for ever."""
    made = setup(tmp_path, 2)
    dead = made.study.ask()
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute(
            "UPDATE trials SET datetime_start = '2020-01-01 00:00:00.000000' "
            "WHERE trial_id = ?",
            (dead._trial_id,),
        )
        database.commit()
    resumed = setup(tmp_path, 2)
    resumed.work()
    rows = rows_of(resumed.study)
    assert [row.state for row in rows] == ["complete"] * 2
    assert [row.kills for row in rows] == [1, 0]


def test_a_trial_beyond_the_slots_is_not_run(tmp_path: Path) -> None:
    """As two workers that saw the same last slot would make it."""
    made = setup(tmp_path, 1)
    made.study.enqueue_trial({}, user_attrs={"slot": 0})
    made.study.enqueue_trial({})
    made.work()
    for _ in range(2):
        made.study.optimize(lambda trial: (0.0, 0.0), n_trials=1)
    assert len(made.tunable.trained) == 1
    assert states(made.study) == ["complete"]


def test_a_hopeless_trial_is_pruned_where_there_is_one_objective(
    tmp_path: Path,
) -> None:
    made = setup(tmp_path, 8, objectives=("r2",), sampler="random")
    recorder = ListRecorder()
    made.work(recorder)
    found = states(made.study)
    assert "pruned" in found
    assert "complete" in found
    assert {end for _, end in recorder.ends} == {"ok"}


def test_red_vitals_forbid_a_trial_and_never_reach_the_front(tmp_path: Path) -> None:
    made = setup(tmp_path, 6, ToyTunable(red_above=0.05))
    made.work()
    rows = rows_of(made.study)
    assert not rows[0].feasible
    assert rows[0].kept is not None
    assert rows[0].kept.red == ("toy.smooth",)
    assert 0 not in {trial.number for trial in made.study.best_trials}


@pytest.mark.parametrize(
    ("sampler", "desirable"), [("tpe", True), ("nsga2", True), ("nsga2", False)]
)
def test_every_sampler_takes_every_goal(
    tmp_path: Path, sampler: str, desirable: bool
) -> None:
    made = setup(
        tmp_path, 4, ToyTunable(epochs=1), sampler=sampler, desirable=desirable
    )
    made.work()
    assert set(states(made.study)) <= {"complete", "pruned"}


@pytest.mark.parametrize(
    "url", ["postgresql://user:secret@127.0.0.1:1/none", "sqlite:////proc/none/x.db"]
)
def test_a_database_that_cant_be_opened_is_told_without_its_password(url: str) -> None:
    with pytest.raises(TrackingError) as refused:
        open_storage(StudyPlace(name="x", url=url))
    assert "can't be opened" in str(refused.value)
    assert "user:secret" not in str(refused.value)
