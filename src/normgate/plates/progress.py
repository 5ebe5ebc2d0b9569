"""How far a long job over files is, how fast, and how long it will still take."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger(__name__)


class LoggedProgress:
    """Logs a line every few seconds, and one when all is done.

    Args:
        doing: What is done, such as `measured`.
        units: What is counted, such as `pictures`.
        every_s: Seconds between two lines.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        doing: str,
        units: str,
        *,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doing, self._units = doing, units
        self._every_s, self._clock = every_s, clock
        self._began = self._said = clock()
        self._before: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Take note that so many of all are done."""
        now = self._clock()
        if self._before is None or done < self._before:
            # A resumed job, or its next pass: what was there before has no rate.
            self._before = done if done < total else 0
            self._began = now if done < total else self._said
        if done < total and now - self._said < self._every_s:
            return
        self._said = now
        _logger.info("%s", self.line(done, total))

    def line(self, done: int, total: int) -> str:
        """Done, share, rate and time left, in words."""
        seconds = max(self._clock() - self._began, 1e-9)
        rate = (done - (self._before or 0)) / seconds
        left = (total - done) / rate if rate else 0.0
        share = done / total if total else 1.0
        text = f"{self._doing} {done:,} of {total:,} {self._units} ({share:.0%}), "
        text += f"{rate:,.0f} a second"
        return text if done >= total else f"{text}, {_spoken(left)} left"


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
