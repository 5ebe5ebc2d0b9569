"""Same-run comparison: every way in turn, many rounds, medians and fastest rounds.

Ways take turns within a round, so that a busy neighbour disturbs all of them alike.
Ratios are those of the fastest rounds, which neighbours disturb least.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one way."""

    median: float
    fastest: float

    def __str__(self) -> str:
        return f"{self.median:.3g} | {self.fastest:.3g}"


def timings(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Time every way in turn, after one round to warm up."""
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - start) * 1000)
    return {
        name: Timing(statistics.median(times), min(times))
        for name, times in taken.items()
    }


def ratio(one: Timing, other: Timing) -> str:
    """Write how many times slower one is than the other."""
    return f"{one.fastest / other.fastest:.2f}"
