"""How far a deployment is, how fast, and how long it will still take, in the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from normgate.engine.progress import duration

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Progress:
    """Counts sites and images and says so every few seconds.

    Args:
        total: Sites of this run, without what an earlier run finished.
        every_s: Seconds between two lines.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        total: int,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sites = 0
        self.images = 0
        self.quarantined = 0
        self._total = total
        self._every_s = every_s
        self._clock = clock
        self._began = self._said = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def add(self, sites: int, images: int, quarantined: int) -> None:
        """Count sites that were seen to.

        Args:
            sites: How many.
            images: Image files that were read for them.
            quarantined: Images and sites of them that are in quarantine.
        """
        self.sites += sites
        self.images += images
        self.quarantined += quarantined
        now = self._clock()
        if now - self._said >= self._every_s or self.sites == self._total:
            self._said = now
            logger.info("%s", self.line())

    def line(self) -> str:
        """The state in one line."""
        took = max(self.seconds, 1e-9)
        rate = self.sites / took
        left = (self._total - self.sites) / rate if rate else 0.0
        tail = f", {self.quarantined} quarantined" if self.quarantined else ""
        return (
            f"{self.sites}/{self._total} sites "
            f"({100 * self.sites / max(self._total, 1):.0f} %), {rate:.1f} sites/s, "
            f"{self.images / took:.1f} images/s, {duration(left)} left{tail}"
        )
