"""Statistics of training acquisitions: the constants of every marker's channel.

Percentiles of raw values, then mean and sd of what is left after clip and arcsinh.
Every pixel counts once, and histograms are exact, so neither the order of acquisitions
nor how they are shared out matters. Which acquisitions counted stands in the
provenance, by name, for statistics of held-out ones would leak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.acquisitions.passes import Figures, Reading, StatisticsSettings
from normgate.acquisitions.read import read_acquisition
from normgate.contract import ChannelProvenance, Provenance, Spec
from normgate.contract.imc import dataset_z, distinct_names
from normgate.contract.steps import exact
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal
    from pathlib import Path

    from normgate.acquisitions.table import Acquisition

__all__ = [
    "Figures",
    "Statistics",
    "StatisticsSettings",
    "common_markers",
    "measure",
]
CHANNELS_AT_ONCE = 128
"""Channels that are counted in one reading: a histogram of each takes 2 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What was measured."""

    settings: StatisticsSettings
    figures: tuple[Figures, ...]
    """In the order of channels asked for."""
    acquisitions: tuple[str, ...]
    """The names of those that counted."""
    quarantined: tuple[str, ...] = ()
    """A sentence for each acquisition that could not be read."""

    def spec(self, digits: int | None = None) -> Spec:
        """The spec by data set: clip, arcsinh, mean and sd.

        Args:
            digits: Round constants to so many significant digits, for people; None
                keeps all.
        """
        return Spec(
            channels=tuple(
                dataset_z(
                    low=_rounded(one.low, digits),
                    high=_rounded(one.high, digits),
                    mean=_rounded(one.inner_mean, digits),
                    std=_rounded(one.inner_std, digits),
                    name=one.name,
                    cofactor=self.settings.cofactor,
                    input_type=self.settings.input_type,
                )
                for one in self.figures
            )
        )

    def provenance(self, csv_path: Path) -> Provenance:
        """Where these constants came from.

        Args:
            csv_path: The acquisition table, whose digest is taken.
        """
        low, high = self.settings.percentiles
        count = len(self.acquisitions)
        return Provenance(
            source=csv_path.name,
            source_digest=hashlib.sha256(csv_path.read_bytes()).hexdigest(),
            estimator="exact histogram",
            restriction=f"{count} training acquisitions",
            cases=self.acquisitions,
            quarantined=self.quarantined,
            channels=tuple(
                ChannelProvenance(
                    name=one.name,
                    images=count,
                    pixels=one.pixels,
                    percentiles=((low, exact(one.low)), (high, exact(one.high))),
                    mean=exact(one.mean),
                    std=exact(one.std),
                )
                for one in self.figures
            ),
        )


def measure(
    acquisitions: Sequence[Acquisition],
    markers: Sequence[str],
    settings: StatisticsSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    state: Path | None = None,
) -> Statistics:
    """Measure the markers of training acquisitions.

    Args:
        acquisitions: The training acquisitions, and no others.
        markers: Which, in the order of the spec.
        settings: What to measure.
        progress: Told of the acquisitions read and of their total, for each pass.
        state: What the names of files begin with that keep an interrupted measurement,
            which are removed in the end; None to keep none.

    Raises:
        DataError: A marker is missing or has no range, or most acquisitions can't be
            read.
        SpecError: Two markers are called alike.
    """
    settings = settings or StatisticsSettings()
    names = distinct_names(markers)
    quarantined: dict[str, str] = {}
    figures: list[Figures] = []
    counted: tuple[str, ...] = ()
    for first in range(0, len(names), CHANNELS_AT_ONCE):
        block = names[first : first + CHANNELS_AT_ONCE]
        reading = Reading(
            acquisitions=acquisitions,
            names=block,
            settings=settings,
            quarantined=quarantined,
            progress=progress,
            state=state,
        )
        own, counted = reading.figures()
        figures += own
    if state is not None:
        for file in state.parent.glob(f"{state.name}.*"):
            file.unlink(missing_ok=True)
    return Statistics(
        settings=settings,
        figures=tuple(figures),
        acquisitions=counted,
        quarantined=tuple(quarantined.values()),
    )


def common_markers(acquisitions: Sequence[Acquisition]) -> tuple[str, ...]:
    """What the first acquisition that can be read calls its channels, by target.

    Raises:
        DataError: None can be read.
    """
    why = "there is none"
    for acquisition in acquisitions:
        try:
            found = read_acquisition(acquisition).markers or ()
        except CorruptImage as error:
            why = str(error)
            continue
        ordered = sorted(one.target or one.tag for one in found)
        return tuple(ordered)
    raise DataError(f"no acquisition can be read; the last: {why}")


def _rounded(value: float, digits: int | None) -> Decimal:
    return exact(value if digits is None else float(f"{value:.{digits}g}"))
