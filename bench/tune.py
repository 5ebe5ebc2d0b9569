"""What a trial costs besides its training: the study's storage, and its MLflow run.

Run it as `python bench/tune.py`. Trials do nothing but report epochs and end; they run
one after the other in studies of their own: Optuna's alone in memory and in SQLite as
we open it, then a whole worker without and with its mirror in MLflow. `--storage` names
an empty PostgreSQL database for a third place.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "entrypoints"))

from _tune_record import Mirror

from mlflow_normgate.entry import open_place
from mlflow_normgate.runs import parent_run
from normgate.engine.tunable import Choice, Objective, Outcome, Weight
from normgate.gate import Vital
from normgate.tune.goal import goal_of
from normgate.tune.pins import pins_of
from normgate.tune.sampling import equip
from normgate.tune.space import space_of
from normgate.tune.storage import StudyPlace, add_slots, open_study
from normgate.tune.worker import Bench, NullRecorder, work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.engine.tunable import Setting, Watch

EPOCHS = 5
VITAL = Vital(
    name="none",
    value=0.0,
    threshold=1.0,
    basis="judgement",
    level="green",
    sentence="Nothing.",
)


@dataclass
class Idle:
    """A family that trains nothing."""

    family: str = "idle"
    name: str = "idle"
    spec_digest: str = "0" * 64
    data_digest: str = "0" * 64
    weights: tuple[Weight, ...] = tuple(
        Weight(name=name, low=0.1, high=1.0, default=0.5) for name in "abc"
    )
    choices: tuple[Choice, ...] = ()
    gauge: dict[str, float] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = (
        Objective(name="x", larger_is_better=True, worst=0.0, best=1.0, during="x"),
    )
    usual_objectives: tuple[str, ...] = ("x",)
    weighted: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ("none",)
    budget: dict[str, int] = field(default_factory=lambda: {"epochs": EPOCHS})
    seconds: list[float] = field(default_factory=list)

    def effect(self, settings: Mapping[str, Setting]) -> NDArray[np.float64]:
        """The settings themselves."""
        return np.array(list(settings.values()), dtype=np.float64)

    def trial(
        self, settings: Mapping[str, Setting], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        """Report some epochs and end."""
        value = float(np.prod([float(one) for one in settings.values()]))
        for epoch in range(1, EPOCHS + 1):
            watch.metrics({"x": value * epoch, "loss": 1 / epoch}, epoch)
        return Outcome(metrics={"x": value}, weighted_loss=1.0, vitals=(VITAL,))


def study_of(
    url: str, trials: int, name: str, folder: Path
) -> tuple[optuna.Study, Bench]:
    tunable = Idle()
    goal = goal_of(tunable, (), desirable=False)
    space = space_of(tunable, {}, goal)
    place = StudyPlace(name=name, url=url)
    study = open_study(place, pins_of(tunable, space, goal, 0), goal)
    add_slots(study, trials, None)
    equip(study, goal, "tpe", trials=trials, seed=0, worker=0)
    study.pruner = optuna.pruners.NopPruner()
    bench = Bench(tunable=tunable, space=space, goal=goal, seed=0, folder=folder)
    return study, bench


class Clock:
    """Milliseconds from one trial's end to the next one's."""

    def __init__(self) -> None:
        self._last = (time.perf_counter(), time.process_time())
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def tick(self) -> None:
        """A trial has ended."""
        now = time.perf_counter(), time.process_time()
        self.wall.append(1000 * (now[0] - self._last[0]))
        self.cpu.append(1000 * (now[1] - self._last[1]))
        self._last = now


def optuna_alone(storage: str | None, trials: int) -> Clock:
    clock = Clock()
    study = optuna.create_study(storage=storage, direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        value = float(np.prod([trial.suggest_float(n, 0.1, 1.0) for n in "abc"]))
        for epoch in range(1, EPOCHS + 1):
            trial.report(value * epoch, epoch)
        return value

    study.optimize(
        objective, n_trials=trials, callbacks=[lambda study, trial: clock.tick()]
    )
    return clock


def worker(url: str, trials: int, folder: Path, *, mirrored: bool) -> Clock:
    name = "mirrored" if mirrored else "bare"
    study, bench = study_of(url, trials, name, folder / name)
    clock = Clock()
    if not mirrored:
        work(study, bench, NullRecorder(), after=clock.tick)
        return clock
    with parent_run(open_place(), "bench", "0" * 64) as parent:
        clock = Clock()
        work(study, bench, Mirror(parent, bench, "bench"), after=clock.tick)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--storage", default="", help="an empty PostgreSQL database")
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        os.environ["NORMGATE_SPOOL"] = str(folder / "spool")
        os.chdir(folder)
        url = chosen.storage or f"sqlite:///{folder}/study.db"
        peers = f"sqlite:///{folder}/optuna.db"
        found = {
            "Optuna in memory": optuna_alone(None, chosen.trials),
            "Optuna on its SQLite, no heartbeat": optuna_alone(peers, chosen.trials),
            "worker, no tracking": worker(url, chosen.trials, folder, mirrored=False),
            "worker with MLflow": worker(url, chosen.trials, folder, mirrored=True),
        }
        print("| a trial of 3 weights, 5 reports | median ms | fastest | CPU ms |")
        print("|---|---:|---:|---:|")
        for title, clock in found.items():
            print(
                f"| {title} | {statistics.median(clock.wall):.3g} | "
                f"{min(clock.wall):.3g} | {statistics.median(clock.cpu):.3g} |"
            )


if __name__ == "__main__":
    main()
