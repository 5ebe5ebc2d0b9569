"""How far a training is, how fast, and how long it will still take, in the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger = logging.getLogger(__name__)


class Progress:
    """Counts steps and units, and says so every few seconds.

    Args:
        name: What is trained.
        epochs: Epochs in all.
        steps: Steps of one epoch.
        epoch: Epochs that an earlier process did.
        every_s: Seconds between two lines.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        name: str,
        *,
        epochs: int,
        steps: int,
        epoch: int = 0,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._epochs, self._steps = epochs, steps
        self._before = epoch * steps
        self._done = 0
        self._units = 0
        self._every_s = every_s
        self._clock = clock
        self._began = self._said = clock()
        self._latest = ""

    def step(self, units: int) -> None:
        """Count one more step of so many units."""
        self._done += 1
        self._units += units
        now = self._clock()
        if now - self._said >= self._every_s:
            self._said = now
            _logger.info("%s", self.line())

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """Remember an epoch's metrics for the next lines."""
        shown = [
            f"{key.replace('_', ' ')} {metrics[key]:.3f}"
            for key in ("train_loss", "validation_loss", "validation_auroc")
            if key in metrics
        ]
        self._latest = ", ".join(["", *shown])

    def line(self) -> str:
        """The state in one line."""
        took = max(self._clock() - self._began, 1e-9)
        at = self._before + self._done
        total = self._epochs * self._steps
        left = (total - at) * took / max(self._done, 1)
        epoch = min(at // self._steps + 1, self._epochs)
        return (
            f"{self._name}: epoch {epoch}/{self._epochs} ({100 * at / total:.0f} %), "
            f"{self._units / took:.0f} units/s, {duration(left)} left{self._latest}"
        )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 0:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
