"""Statistics of training acquisitions: the constants of every marker's channel.

Percentiles of raw values, then mean and sd of what is left after clip and arcsinh.
Every pixel counts once, and histograms are exact, so neither the order of acquisitions
nor how they are shared out matters. Which acquisitions counted stands in the
provenance, by name, for statistics of held-out ones would leak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.read import read_acquisition
from normgate.contract import (
    Channel,
    ChannelProvenance,
    Provenance,
    Spec,
    normal_form,
)
from normgate.contract.imc import COFACTOR, bounded, dataset_z, distinct_names
from normgate.contract.steps import exact
from normgate.errors import CorruptImage, DataError, SettingsError
from normgate.transform.float_histogram import FloatHistogram
from normgate.transform.table import apply_fixed_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.table import Acquisition
    from normgate.contract import InputType

FAILED_SHARE = 0.5
CHANNELS_AT_ONCE = 128
"""Channels that are counted in one reading: a histogram of each takes 2 MB."""
_BATCH_PIXELS = 1 << 16
"""Small acquisitions are counted together: a histogram costs more than their pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsSettings:
    """What to measure, and what spec to make of it."""

    percentiles: tuple[Decimal, Decimal] = (Decimal(0), Decimal("99.9"))
    """Where raw values are clipped, 0 to 100."""
    cofactor: Decimal | None = COFACTOR
    """Of arcsinh; None for no arcsinh, as for embeddings."""
    input_type: InputType = "float32"
    """What the spec's channels take; whole numbers are exact in float32, too."""

    def __post_init__(self) -> None:
        """Refuse what can't be measured.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise SettingsError(
                f"percentiles {low},{high} must rise within 0..100, such as 0,99.9"
            )
        if self.cofactor is not None and self.cofactor <= 0:
            raise SettingsError(
                f"cofactor is {self.cofactor}; expected a number above 0, or none"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One channel over all acquisitions that counted."""

    name: str
    low: float
    """The lower percentile of raw values, as `numpy.percentile(method="linear")`."""
    high: float
    """The upper percentile."""
    mean: float
    """Of raw values."""
    std: float
    """With ddof 0."""
    inner_mean: float
    """After clip and arcsinh."""
    inner_std: float
    """With ddof 0."""
    pixels: int


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


@dataclass(slots=True)
class Tally:
    """Exact counts of several channels; merging two is addition."""

    names: tuple[str, ...]
    acquisitions: tuple[str, ...] = ()
    counts: list[FloatHistogram] = field(init=False)
    """A histogram for each channel."""

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.counts = [FloatHistogram() for _ in self.names]

    def add(
        self, acquisitions: Sequence[str], values: Sequence[NDArray[np.float32]]
    ) -> None:
        """Count acquisitions; several small ones at once are faster.

        Args:
            acquisitions: Their names.
            values: All of their pixels, an array a channel.

        Raises:
            DataError: One counts already, or a pixel is no number.
        """
        _refuse_twice(acquisitions, self.acquisitions)
        for name, counts, pixels in zip(self.names, self.counts, values, strict=True):
            try:
                counts.add(pixels)
            except DataError as error:
                said = ", ".join(acquisitions[:5])
                raise DataError(f"{said}: channel {name}: {error}") from error
        self.acquisitions = (*self.acquisitions, *acquisitions)

    def merge(self, other: Tally) -> None:
        """Add another tally of the same channels, of other acquisitions.

        Raises:
            DataError: An acquisition counts in both, or the channels differ.
        """
        if self.names != other.names:
            raise DataError(
                f"can't merge counts of {', '.join(other.names)} with those of "
                f"{', '.join(self.names)}; measure them alike"
            )
        _refuse_twice(other.acquisitions, self.acquisitions)
        for own, more in zip(self.counts, other.counts, strict=True):
            own.merge(more)
        self.acquisitions = (*self.acquisitions, *other.acquisitions)


def measure(
    acquisitions: Sequence[Acquisition],
    markers: Sequence[str],
    settings: StatisticsSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Measure the markers of training acquisitions.

    Args:
        acquisitions: The training acquisitions, and no others.
        markers: Which, in the order of the spec.
        settings: What to measure.
        progress: Told of the acquisitions read and of their total, for each pass.

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
        reading = _Reading(acquisitions, block, settings, quarantined, progress)
        own, counted = reading.figures()
        figures += own
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """Some channels of the acquisitions, read once for each pass."""

    acquisitions: Sequence[Acquisition]
    names: tuple[str, ...]
    settings: StatisticsSettings
    quarantined: dict[str, str]
    progress: Callable[[int, int], None] | None

    def figures(self) -> tuple[list[Figures], tuple[str, ...]]:
        """The figures of these channels, and the acquisitions that counted."""
        raw = self._tally(lambda values: values)
        ranges = self._ranges(raw)
        forms = [
            normal_form(
                Channel(
                    name=name,
                    input="float32",
                    steps=bounded(low=low, high=high, cofactor=self.settings.cofactor),
                )
            )
            for name, (low, high) in zip(self.names, ranges, strict=True)
        ]
        inner = self._tally(
            lambda values: [
                apply_fixed_float(form, pixels)
                for form, pixels in zip(forms, values, strict=True)
            ]
        )
        found = zip(self.names, ranges, raw.counts, inner.counts, strict=True)
        figures = [
            Figures(
                name=name,
                low=low,
                high=high,
                mean=before.mean,
                std=before.std(),
                inner_mean=after.mean,
                inner_std=after.std(),
                pixels=before.total,
            )
            for name, (low, high), before, after in found
        ]
        return figures, raw.acquisitions

    def _tally(
        self,
        change: Callable[[list[NDArray[Any]]], Sequence[NDArray[np.float32]]],
    ) -> Tally:
        tally = Tally(self.names)
        for names, values in self._batches():
            tally.add(names, change(values))
        total, failed = len(self.acquisitions), len(self.quarantined)
        if not tally.acquisitions or failed > FAILED_SHARE * total:
            first = next(iter(self.quarantined.values()), "there is none")
            raise DataError(
                f"{failed} of {total} training acquisitions can't be read; the first: "
                f"{first}"
            )
        return tally

    def _ranges(self, raw: Tally) -> list[tuple[float, float]]:
        """The two percentiles of each channel, by a second reading."""
        wanted = [float(one) for one in self.settings.percentiles]
        fine = [counts.fine(wanted) for counts in raw.counts]
        for _, values in self._batches():
            for one, pixels in zip(fine, values, strict=True):
                one.add(pixels)
        ranges = []
        for name, one in zip(self.names, fine, strict=True):
            low, high = (float(value) for value in one.percentile(wanted))
            if not low < high:
                raise DataError(
                    f"channel {name}: percentiles {wanted[0]:g} and {wanted[1]:g} are "
                    f"both {low:g}, so the marker is absent or rare; leave it out, or "
                    "measure to a higher percentile"
                )
            ranges.append((low, high))
        return ranges

    def _batches(self) -> Iterator[tuple[list[str], list[NDArray[Any]]]]:
        """Acquisitions that can be read, and their pixels, a float32 array a channel.

        So many at once as make a batch; one that is large is a batch of its own.
        """
        names: list[str] = []
        waiting: list[list[NDArray[Any]]] = [[] for _ in self.names]
        for done, acquisition in enumerate(self.acquisitions, start=1):
            planes = self._planes(acquisition)
            if planes:
                names.append(acquisition.acquisition)
                for own, plane in zip(waiting, planes, strict=True):
                    own.append(plane.astype(np.float32).ravel())
            last = done == len(self.acquisitions)
            if names and (last or sum(map(np.size, waiting[0])) >= _BATCH_PIXELS):
                yield names, [np.concatenate(own) for own in waiting]
                names, waiting = [], [[] for _ in self.names]
            if self.progress is not None:
                self.progress(done, len(self.acquisitions))

    def _planes(self, acquisition: Acquisition) -> list[NDArray[Any]]:
        """A plane a channel; nothing for an acquisition that is in quarantine."""
        if acquisition.acquisition in self.quarantined:
            return []
        channels = [
            Channel(name=name, input=self.settings.input_type, steps=())
            for name in self.names
        ]
        try:
            return read_acquisition(acquisition).planes(channels)
        except CorruptImage as error:
            self.quarantined[acquisition.acquisition] = f"{acquisition.name}: {error}"
            return []


def _refuse_twice(names: Sequence[str], counted: Sequence[str]) -> None:
    both = sorted(set(names) & set(counted))
    if both:
        raise DataError(
            f"acquisition {both[0]} is counted twice; name each acquisition once"
        )


def _rounded(value: float, digits: int | None) -> Decimal:
    return exact(value if digits is None else float(f"{value:.{digits}g}"))
