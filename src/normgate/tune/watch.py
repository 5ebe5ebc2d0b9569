"""What a trial reports to while it runs: the tracker, the pruner, the red vitals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.errors import Pruned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import optuna

    from normgate.gate import Vital
    from normgate.tracker import Scalar, Tracker
    from normgate.tune.goal import Goal


class PlainWatch:
    """Implements `normgate.engine.tunable.Watch` for a training that is never pruned.

    Args:
        tracker: Told of everything.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def vitals(self, vitals: Sequence[Vital], step: int) -> None:
        """Report vitals, whatever their level."""
        self._tracker.metrics({f"vital.{one.name}": one.value for one in vitals}, step)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Pass an epoch on."""
        self._tracker.metrics(values, step)

    def params(self, values: Mapping[str, Scalar]) -> None:
        """Pass settings on."""
        self._tracker.params(values)

    def tags(self, values: Mapping[str, str]) -> None:
        """Pass marks on."""
        self._tracker.tags(values)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Pass a file on."""
        self._tracker.artifact(path, folder)

    def image(self, path: Path, key: str, step: int) -> None:
        """Pass a picture on."""
        self._tracker.image(path, key, step)

    def note(self, markdown: str) -> None:
        """Pass a description on."""
        self._tracker.note(markdown)


class TrialWatch(PlainWatch):
    """Implements `normgate.engine.tunable.Watch` for one trial of a study.

    Args:
        trial: Optuna's, which is told of each epoch where there is one objective.
        goal: What judges.
        tracker: Told of everything.
    """

    def __init__(self, trial: optuna.Trial, goal: Goal, tracker: Tracker) -> None:
        super().__init__(tracker)
        self._trial = trial
        self._goal = goal
        self._reported = -1

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Report an epoch.

        Raises:
            Pruned: Other trials were better at this step.
        """
        super().metrics(values, step)
        value = self._goal.during(values)
        if value is None or step <= self._reported:
            return
        self._reported = step
        self._trial.report(value, step)
        if self._trial.should_prune():
            raise Pruned(
                f"{self._goal.names[0]} was {value:.4g} after step {step}, worse than "
                "the median of earlier trials"
            )

    def vitals(self, vitals: Sequence[Vital], step: int) -> None:
        """Report vitals.

        Raises:
            Pruned: One is red.
        """
        super().vitals(vitals, step)
        red = [one.sentence for one in vitals if one.level == "red"]
        if red:
            raise Pruned(f"red vitals: {' '.join(red)}")
