"""The axes of a study's pictures: where a number, or a word of a choice, stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from normgate.engine.tunable import Setting
    from normgate.tune.space import Space


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of one searched setting, or of an objective."""

    name: str
    low: float
    high: float
    log: bool = False
    words: tuple[str, ...] = ()
    """Of a choice; they stand at 0, 1, 2, ..."""

    def at(self, value: Setting) -> float:
        """Where a value stands."""
        return value if not isinstance(value, str) else self.words.index(value)

    def share(self, value: Setting) -> float:
        """How far up it stands, 0 to 1."""
        at, low, high = self.at(value), self.low, self.high
        if self.log:
            at, low, high = np.log(at), np.log(low), np.log(high)
        return float((at - low) / (high - low))

    @property
    def margins(self) -> tuple[float, float]:
        """Both ends with some room beyond."""
        if self.log:
            grow = (self.high / self.low) ** 0.05
            return self.low / grow, self.high * grow
        grow = (0.2 if self.words else 0.05) * (self.high - self.low)
        return self.low - grow, self.high + grow


def scales_of(space: Space) -> list[Scale]:
    """The axes of everything that a study searches, in the order of its names."""
    numbers = [Scale(one.name, one.low, one.high, one.log) for one in space.weights]
    return numbers + [
        Scale(one.name, 0, len(one.options) - 1, words=one.options)
        for one in space.choices
    ]
