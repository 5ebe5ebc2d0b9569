"""Outcomes as one table: mean and seed-to-seed standard deviation of every arm.

As CSV (one line an arm and seed, and one an arm and figure) and as Markdown.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.incidents.outcome import Outcome
    from normgate.incidents.port import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One figure of one arm over its seeds."""

    mean: float
    """NaN where no seed has the figure."""
    sd: float
    """With ddof 1; NaN of fewer than two."""
    count: int
    """Seeds that have it."""

    def text(self, digits: int) -> str:
        """As `.816 +- .011`; `-` for none."""
        if not self.count:
            return "-"
        spread = "" if math.isnan(self.sd) else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


@dataclass(frozen=True, slots=True)
class Table:
    """All outcomes of a replay, in the order of arms and seeds."""

    outcomes: tuple[Outcome, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have an outcome."""
        return tuple(dict.fromkeys(one.arm for one in self.outcomes))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have an outcome, rising."""
        return tuple(sorted({one.seed for one in self.outcomes}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every figure that any outcome has."""
        return tuple(dict.fromkeys(key for one in self.outcomes for key in one.metrics))

    def value(self, arm: str, metric: str, seed: int) -> float:
        """One figure; NaN where it is absent."""
        for one in self.outcomes:
            if one.arm == arm and one.seed == seed:
                return one.metrics.get(metric, math.nan)
        return math.nan

    def values(self, arm: str, metric: str) -> tuple[float, ...]:
        """A figure under every seed, NaN where it is absent."""
        return tuple(self.value(arm, metric, seed) for seed in self.seeds)

    def spread(self, arm: str, metric: str) -> Spread:
        """Mean and spread of a figure over the seeds that have it."""
        return spread(self.values(arm, metric))


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of those values that are finite."""
    finite = np.array([value for value in values if math.isfinite(value)])
    return Spread(
        mean=float(finite.mean()) if len(finite) else math.nan,
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        count=len(finite),
    )


def markdown(table: Table, columns: Sequence[Column]) -> str:
    """The arms as a Markdown table, one column a figure, mean and SD over seeds."""
    titles = [column.title for column in columns]
    lines = [f"| arm | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for arm in table.arms:
        cells = [
            table.spread(arm, column.metric).text(column.digits) for column in columns
        ]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def outcomes_csv(table: Table) -> bytes:
    """One line an arm and seed, one column a figure; empty where it is absent."""
    names = table.metrics
    rows = [
        [one.arm, one.seed, f"{one.cpu_s:.1f}"]
        + [_text(one.metrics.get(name, math.nan)) for name in names]
        for one in table.outcomes
    ]
    return _csv(["arm", "seed", "cpu_s", *names], rows)


def summary_csv(table: Table) -> bytes:
    """One line an arm and figure: mean, standard deviation and number of seeds."""
    rows = []
    for arm in table.arms:
        for name in table.metrics:
            found = table.spread(arm, name)
            if found.count:
                numbers = [_text(found.mean), _text(found.sd), found.count]
                rows.append([arm, name, *numbers])
    return _csv(["arm", "metric", "mean", "sd", "seeds"], rows)


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    return text.getvalue().encode()


def _text(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
