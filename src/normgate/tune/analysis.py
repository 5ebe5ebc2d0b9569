"""What a study found: rows, front, importances, and how far its loss can be trusted."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState
from scipy.stats import spearmanr

from normgate.tune.goal import desirability
from normgate.tune.outcomes import Kept, read
from normgate.tune.slots import ERROR, slots_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study
    from optuna.trial import FrozenTrial

    from normgate.engine.tunable import Objective, Setting
    from normgate.tune.goal import Goal
    from normgate.tune.space import Space

FEWEST = 4
"""Finished trials below which importances and correlations are not computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One slot of a study."""

    slot: int
    state: str
    params: Mapping[str, Setting]
    """What was searched."""
    kept: Kept | None
    """Metrics and vitals; None where it did not finish."""
    kills: int
    reason: str
    """Why it failed; empty otherwise."""

    @property
    def feasible(self) -> bool:
        """Whether it finished and no vital forbids it."""
        return self.kept is not None and self.kept.feasible


def rows_of(study: Study) -> tuple[Row, ...]:
    """Every slot, by number."""
    return tuple(
        Row(
            slot=slot.number,
            state=slot.state,
            params=dict(slot.trial.params),
            kept=read(slot.trial) if slot.state == "complete" else None,
            kills=slot.kills,
            reason=str(slot.trial.user_attrs.get(ERROR, "")),
        )
        for slot in slots_of(study.get_trials(deepcopy=False))
    )


def front(rows: Sequence[Row], objectives: Sequence[Objective]) -> tuple[int, ...]:
    """Slots of feasible trials that no other one is better than in everything."""
    points = {
        row.slot: _oriented(row.kept, objectives)
        for row in rows
        if row.feasible and row.kept is not None
    }
    return tuple(
        slot
        for slot, own in points.items()
        if not any(_dominates(other, own) for other in points.values())
    )


def shortlist(
    rows: Sequence[Row], objectives: Sequence[Objective], count: int
) -> tuple[Row, ...]:
    """The trials to look at again: the front first, by desirability, then the rest."""
    on_front = set(front(rows, objectives))

    def merit(row: Row) -> tuple[bool, float, float]:
        metrics = row.kept.metrics if row.kept else {}
        first = _oriented(row.kept, objectives)[0] if row.kept else -math.inf
        return row.slot in on_front, desirability(objectives, metrics), first

    feasible = [row for row in rows if row.feasible]
    return tuple(sorted(feasible, key=merit, reverse=True)[:count])


def importances(study: Study, goal: Goal) -> dict[str, dict[str, float]]:
    """How much each weight matters to each objective (PED-ANOVA), 0 to 1."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST:
        return {}
    found: dict[str, dict[str, float]] = {}
    for index, (name, way) in enumerate(zip(goal.names, goal.directions, strict=True)):
        # Of a target, Optuna takes less to be better.
        target = partial(_turned, index=index, sign=-1 if way == "maximize" else 1)
        if len(set(map(target, complete))) < 2:
            continue
        with warnings.catch_warnings():
            # It warns that less of a target is better, which `_turned` sees to.
            warnings.filterwarnings("ignore", "PedAnova", UserWarning)
            found[name] = optuna.importance.get_param_importances(study, target=target)
    return found


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation over the finished trials of a study."""

    of: str
    to: str
    rho: float
    trials: int


def correlations(
    rows: Sequence[Row], space: Space, objectives: Sequence[Objective]
) -> tuple[Correlation, ...]:
    """The weighted loss against each quality, and each weight against the loss.

    Quality is turned so that more is better: a loss that could be trusted would have
    -1 against it.
    """
    done = [row for row in rows if row.kept is not None]
    losses = [row.kept.weighted_loss for row in done if row.kept]
    if len(done) < FEWEST or len(set(losses)) < 2:
        return ()
    pairs = [
        ("weighted_loss", one.name, [_oriented(row.kept, (one,))[0] for row in done])
        for one in objectives
    ]
    pairs += [
        (one.name, "weighted_loss", [float(row.params[one.name]) for row in done])
        for one in space.weights
    ]
    return tuple(
        Correlation(of, to, float(spearmanr(losses, values).statistic), len(done))
        for of, to, values in pairs
        if len(set(values)) > 1
    )


def table(rows: Sequence[Row], space: Space, goal: Goal) -> pd.DataFrame:
    """One line for each trial: what was searched, objectives, loss, state."""
    on_front = set(front(rows, goal.objectives))
    lines = []
    for row in rows:
        metrics = dict(row.kept.metrics) if row.kept else {}
        line: dict[str, object] = {"trial": row.slot, "state": row.state}
        line |= {name: row.params.get(name, np.nan) for name in space.names}
        line |= {one.name: metrics.get(one.name, np.nan) for one in goal.objectives}
        line["desirability"] = (
            desirability(goal.objectives, metrics) if row.kept else np.nan
        )
        line["weighted_loss"] = row.kept.weighted_loss if row.kept else np.nan
        line["feasible"] = row.feasible
        line["front"] = row.slot in on_front
        line["red"] = " ".join(row.kept.red) if row.kept else ""
        line["kills"] = row.kills
        line["seconds"] = row.kept.seconds if row.kept else np.nan
        line["reason"] = row.reason
        lines.append(line)
    return pd.DataFrame(lines)


def _turned(trial: FrozenTrial, *, index: int, sign: int) -> float:
    return sign * float(trial.values[index])


def _oriented(
    record: Kept | None, objectives: Sequence[Objective]
) -> tuple[float, ...]:
    """Metrics turned so that more is better."""
    metrics = record.metrics if record else {}
    return tuple(
        metrics[one.name] if one.larger_is_better else -metrics[one.name]
        for one in objectives
    )


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
