"""What judges a trial: metrics that no searched weight is a part of.

A weighted loss can't be an objective: the search would lower the weights instead of
the errors. Over a study of the fusion family the correlation of loss and quality had
the wrong sign (Spearman +0.65), and the loss followed one weight alone (0.99).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.engine.tunable import Objective, Searchable

DESIRABILITY = "desirability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The objectives of a study."""

    objectives: tuple[Objective, ...]
    desirable: bool
    """Whether they are joined to one desirability."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers that Optuna is told, in its order."""
        if self.desirable:
            return (DESIRABILITY,)
        return tuple(one.name for one in self.objectives)

    @property
    def directions(self) -> tuple[Literal["maximize", "minimize"], ...]:
        """Optuna's words for which way is better."""
        if self.desirable:
            return ("maximize",)
        return tuple(
            "maximize" if one.larger_is_better else "minimize"
            for one in self.objectives
        )

    @property
    def single(self) -> bool:
        """Whether there is one number, so that trials can be pruned by it."""
        return len(self.names) == 1

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What Optuna is told of a finished trial.

        Raises:
            DataError: An objective was not measured, or is no number.
        """
        for one in self.objectives:
            if not math.isfinite(metrics.get(one.name, math.nan)):
                raise DataError(
                    f"objective {one.name} is {metrics.get(one.name, 'missing')}; a "
                    "trial can't be judged by it. Look at its run, or choose others "
                    "with objectives=..."
                )
        if self.desirable:
            return (desirability(self.objectives, metrics),)
        return tuple(metrics[one.name] for one in self.objectives)

    def during(self, metrics: Mapping[str, float]) -> float | None:
        """The judgement of an epoch.

        Returns:
            None where there are several objectives, or an epoch does not tell.
        """
        if not self.single or any(one.during not in metrics for one in self.objectives):
            return None
        foretold = {one.name: metrics[one.during] for one in self.objectives}
        if self.desirable:
            return desirability(self.objectives, foretold)
        return foretold[self.objectives[0].name]

    def document(self) -> dict[str, Any]:
        """The goal as plain JSON values; worst and best are frozen with it."""
        return {
            "desirable": self.desirable,
            "objectives": {one.name: asdict(one) for one in self.objectives},
        }


def goal_of(tunable: Searchable, names: Sequence[str], *, desirable: bool) -> Goal:
    """The goal that a user names.

    Args:
        tunable: The family.
        names: Objectives; empty for the family's usual ones.
        desirable: Whether to join them.

    Raises:
        SettingsError: An objective contains the weights, is unknown or stands twice.
    """
    known = {one.name: one for one in tunable.objectives}
    chosen = tuple(names) or tunable.usual_objectives
    for name in chosen:
        if name in tunable.weighted:
            raise SettingsError(
                f"{name} can't be an objective: it contains the weights that are "
                "searched, so the search would shrink the weights and call that "
                f"better. Choose among {', '.join(known)}"
            )
        if name not in known:
            raise SettingsError(
                f"{tunable.family} has no objective {name!r}; it has {', '.join(known)}"
            )
    if len(set(chosen)) != len(chosen):
        raise SettingsError(f"objectives are {', '.join(chosen)}; name each once")
    objectives = tuple(known[name] for name in chosen)
    return Goal(objectives=objectives, desirable=desirable)


def desirability(
    objectives: Sequence[Objective], metrics: Mapping[str, float]
) -> float:
    """Geometric mean of how far each metric is from its worst to its best, 0 to 1.

    Derringer and Suich 1980. It is 0 where any metric is at its worst or no number.
    """
    product = 1.0
    for one in objectives:
        share = (metrics[one.name] - one.worst) / (one.best - one.worst)
        product *= min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    return float(product ** (1 / len(objectives)))
