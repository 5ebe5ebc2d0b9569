"""The passes over the pictures, and each marker's exact figures.

Integer images take one pass. Float32 images take a second one for their percentiles,
and a third where the mean and standard deviation of clipped pixels are wanted.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import DataError
from normgate.plates.tally import Counter, Pass, Source, Tally, count
from normgate.transform.estimates import mean_of, std_of
from normgate.transform.float_histogram import FineHistogram, FloatHistogram
from normgate.transform.histogram import IntegerHistogram

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import InputType
    from normgate.plates.measure_settings import MeasureSettings
    from normgate.plates.tally import MaskRule, Progress
    from normgate.transform.threads import Spread

Histogram = IntegerHistogram | FloatHistogram
MOST_CORRUPT = 0.5
"""More unreadable pictures than this share, and nothing is measured."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One marker's exact figures."""

    counts: Histogram
    low: float
    high: float
    mean: float
    std: float
    clipped: tuple[float, float]
    """Mean and standard deviation (ddof 0) of the clipped pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The passes over one selection of pictures."""

    sources: Sequence[Source]
    types: Mapping[str, InputType]
    settings: MeasureSettings
    state: Path
    stamp: str
    progress: Progress | None
    spread: Spread | None = None
    """What counts instead of this process's threads."""

    def counted(self) -> Tally:
        """The first pass, over every picture.

        Raises:
            DataError: Most pictures can't be read.
        """
        how = Pass(
            name="counts",
            empty=partial(_empty, self.types),
            load=_load,
            rule=self._rule,
        )
        tally = self._count(self.sources, how)
        corrupt = len(tally.corrupt)
        if corrupt > MOST_CORRUPT * len(self.sources):
            msg = (
                f"{corrupt} of {len(self.sources)} pictures can't be read; the first: "
            )
            raise DataError(msg + tally.corrupt[min(tally.corrupt)])
        return tally

    def figures(self, tally: Tally) -> dict[str, Figures]:
        """The figures of every marker, with a second pass where it needs one.

        Raises:
            DataError: A channel has no range.
        """
        return {
            marker: self._figures(marker, _histogram(counter), tally)
            for marker, counter in tally.counters.items()
        }

    def _figures(self, marker: str, counts: Histogram, tally: Tally) -> Figures:
        wanted = [float(p) for p in self.settings.percentiles]
        if isinstance(counts, IntegerHistogram):
            low, high = (float(v) for v in counts.percentile(wanted))
            clipped = _clipped_moments(counts, low, high)
        else:
            low, high = self._fine(marker, counts, tally, wanted)
            clipped = self._clipped_float(marker, tally, low, high)
        if not low < high:
            msg = (
                f"{marker}: percentiles {wanted[0]:g} and {wanted[1]:g} are both "
                f"{low:g}; the channel is empty, or needs a mask or other percentiles"
            )
            raise DataError(msg)
        return Figures(counts, low, high, counts.mean, counts.std(), clipped)

    def _fine(
        self, marker: str, counts: FloatHistogram, tally: Tally, wanted: list[float]
    ) -> tuple[float, float]:
        how = Pass(
            name=f"fine {marker} {wanted}",
            empty=lambda _: counts.fine(wanted),
            load=FineHistogram.from_bytes,
            rule=self._rule,
        )
        fine = self._count(self._readable(marker, tally), how).counters[marker]
        assert isinstance(fine, FineHistogram)
        low, high = fine.percentile(wanted)
        return float(low), float(high)

    def _clipped_float(
        self, marker: str, tally: Tally, low: float, high: float
    ) -> tuple[float, float]:
        if self.settings.then != "zscore" or not low < high:
            return math.nan, math.nan
        how = Pass(
            name=f"clipped {marker} {low!r} {high!r}",
            empty=lambda _: _ClippedFloat(low, high),
            load=lambda data: _ClippedFloat(low, high, FloatHistogram.from_bytes(data)),
            rule=self._rule,
        )
        counter = self._count(self._readable(marker, tally), how).counters[marker]
        assert isinstance(counter, _ClippedFloat)
        return counter.counts.mean, counter.counts.std()

    def _readable(self, marker: str, tally: Tally) -> list[Source]:
        return [
            source
            for at, source in enumerate(self.sources)
            if source.marker == marker and at not in tally.corrupt
        ]

    def _count(self, sources: Sequence[Source], how: Pass) -> Tally:
        # Each pass has its own state file, so that a later one never ends an earlier.
        name = hashlib.sha256(how.name.encode()).hexdigest()[:8]
        return count(
            sources,
            how,
            state=self.state.with_name(f"{self.state.name}.{name}"),
            stamp=self.stamp,
            workers=self.settings.workers,
            spread=self.spread,
            progress=self.progress,
        )

    @property
    def _rule(self) -> MaskRule:
        return partial(_brighter, self.settings.above)


class _ClippedFloat:
    """Counts float pixels clipped to a range."""

    def __init__(
        self, low: float, high: float, counts: FloatHistogram | None = None
    ) -> None:
        self.low, self.high = np.float32(low), np.float32(high)
        self.counts = counts or FloatHistogram()

    def add(self, image: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Count an image's clipped pixels."""
        self.counts.add(np.clip(image, self.low, self.high), mask)

    def merge(self, other: _ClippedFloat) -> None:
        """Add another's counts."""
        self.counts.merge(other.counts)

    def to_bytes(self) -> bytes:
        """The counts as bytes."""
        return self.counts.to_bytes()


def _empty(types: Mapping[str, InputType], marker: str) -> Histogram:
    kind = types[marker]
    return FloatHistogram() if kind == "float32" else IntegerHistogram(kind)


def _brighter(above: int | None, image: NDArray[Any]) -> NDArray[np.bool_] | None:
    return None if above is None else image > above


def _load(data: bytes) -> Histogram:
    """A histogram of either kind from its bytes."""
    try:
        return IntegerHistogram.from_bytes(data)
    except DataError:
        return FloatHistogram.from_bytes(data)


def _histogram(counter: Counter) -> Histogram:
    if not isinstance(counter, IntegerHistogram | FloatHistogram):
        raise TypeError(f"{type(counter).__name__} is no histogram")
    return counter


def _clipped_moments(
    counts: IntegerHistogram, low: float, high: float
) -> tuple[float, float]:
    """Exact mean and standard deviation (ddof 0) of clipped counts, rounded once."""
    one = two = Fraction(0)
    for at in np.flatnonzero(counts.counts).tolist():
        value = min(max(Fraction(at + counts.first), Fraction(low)), Fraction(high))
        times = int(counts.counts[at])
        one += value * times
        two += value * value * times
    return mean_of(counts.total, one), std_of(counts.total, one, two, 0)
