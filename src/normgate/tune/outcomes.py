"""What a finished trial leaves in the study: metrics, loss, vitals, feasibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Trial
    from optuna.trial import FrozenTrial

    from normgate.engine.tunable import Outcome

OUTCOME = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One finished trial's record."""

    metrics: Mapping[str, float]
    weighted_loss: float
    constraints: Mapping[str, float]
    """By vital: 1 where it is red or was not measured, else -1."""
    vitals: Mapping[str, float]
    red: tuple[str, ...]
    """Names of red vitals, whether they are constraints or not."""
    seconds: float

    @property
    def feasible(self) -> bool:
        """Whether no constraint is violated."""
        return all(value <= 0 for value in self.constraints.values())

    @property
    def shown(self) -> dict[str, float]:
        """The record as a run's metrics."""
        return {
            **self.metrics,
            "weighted_loss": self.weighted_loss,
            "seconds": self.seconds,
            **{f"vital.{name}": value for name, value in self.vitals.items()},
        }

    def write(self, trial: Trial) -> None:
        """Keep it with the trial."""
        for name, value in self.constraints.items():
            if name not in trial.constraints:
                trial.set_constraint(name, value)
        record: dict[str, Any] = {
            "metrics": dict(self.metrics),
            "weighted_loss": self.weighted_loss,
            "vitals": dict(self.vitals),
            "constraints": dict(self.constraints),
            "red": list(self.red),
            "seconds": round(self.seconds, 3),
        }
        trial.set_user_attr(OUTCOME, record)


def kept(outcome: Outcome, constraints: Sequence[str], seconds: float) -> Kept:
    """Make a record of an outcome."""
    levels = {vital.name: vital.level for vital in outcome.vitals}
    return Kept(
        metrics=outcome.metrics,
        weighted_loss=outcome.weighted_loss,
        constraints={
            name: 1.0 if levels.get(name, "red") == "red" else -1.0
            for name in constraints
        },
        vitals={vital.name: vital.value for vital in outcome.vitals},
        red=tuple(name for name, level in levels.items() if level == "red"),
        seconds=seconds,
    )


def read(trial: FrozenTrial) -> Kept | None:
    """The record of a trial; None where it did not finish."""
    record = trial.user_attrs.get(OUTCOME)
    if record is None:
        return None
    return Kept(**{**record, "red": tuple(record["red"])})
