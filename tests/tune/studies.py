"""Studies in a folder, and the ways that tests run them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tune.toy import ToyTunable

from normgate.tune.goal import Goal, goal_of
from normgate.tune.pins import pins_of
from normgate.tune.sampling import equip
from normgate.tune.space import Space, space_of
from normgate.tune.storage import StudyPlace, add_slots, open_storage, open_study
from normgate.tune.worker import Bench, NullRecorder, Recorder, work

if TYPE_CHECKING:
    from optuna import Study


@dataclass
class Setup:
    """One study as one process holds it."""

    folder: Path
    tunable: ToyTunable
    space: Space
    goal: Goal
    study: Study

    def work(self, recorder: Recorder | None = None, **options: Any) -> None:
        bench = Bench(
            tunable=self.tunable,
            space=self.space,
            goal=self.goal,
            seed=0,
            folder=self.folder / "trials",
        )
        work(self.study, bench, recorder or NullRecorder(), poll_s=0.1, **options)


@cache
def empty_database() -> bytes:
    """A database with Optuna's tables, made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        open_storage(StudyPlace(name="none", url=f"sqlite:///{path}")).engine.dispose()
        return path.read_bytes()


def setup(
    folder: Path,
    trials: int,
    tunable: ToyTunable | None = None,
    *,
    objectives: tuple[str, ...] = (),
    desirable: bool = False,
    sampler: str = "tpe",
    worker: int = 0,
    fork: bool = False,
    url: str = "",
    **given: str,
) -> Setup:
    """Open the study of a folder as the entry does."""
    tunable = tunable or ToyTunable()
    goal = goal_of(tunable, objectives, desirable=desirable)
    space = space_of(tunable, given, goal)
    if not url and not (folder / "study.db").exists():
        (folder / "study.db").write_bytes(empty_database())
    url = url or f"sqlite:///{folder}/study.db"
    place = StudyPlace(name="toy", url=url, heartbeat_s=1)
    study = open_study(place, pins_of(tunable, space, goal, 0), goal, fork=fork)
    add_slots(study, trials, space.first)
    equip(study, goal, sampler, trials=trials, seed=0, worker=worker)
    return Setup(folder, tunable, space, goal, study)
