"""How often each intensity occurs, before and after a spec: what judgements read.

Of integer images every value is there; of float32 images values are cut to their upper
16 bits (seven bits of mantissa), which is exact for whole numbers up to 256 and within
1% for others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import normal_form
from normgate.errors import DataError
from normgate.transform.histogram import FloatHistogram, IntegerHistogram
from normgate.transform.table import apply_fixed_float, first_value, fixed_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Channel


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values that occur, rising, and how often each does; at least one."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse what has no pixel.

        Raises:
            DataError: There is none.
        """
        if not len(self.values):
            raise DataError("no pixel was counted; read at least one image")

    @classmethod
    def of(cls, histogram: IntegerHistogram | FloatHistogram) -> Distribution:
        """What a histogram counted.

        Raises:
            DataError: It has counted no pixel.
        """
        if isinstance(histogram, FloatHistogram):
            return cls(*histogram.coarse())
        at = np.flatnonzero(histogram.counts)
        return cls((at + histogram.first).astype(np.float64), histogram.counts[at])

    @property
    def total(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum())

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(self.values[0])

    @property
    def high(self) -> float:
        """The largest value."""
        return float(self.values[-1])

    @property
    def mean(self) -> float:
        """The mean."""
        return float(np.average(self.values, weights=self.counts))

    @property
    def std(self) -> float:
        """The standard deviation, with ddof 0."""
        apart = self.values - self.mean
        return math.sqrt(float(np.average(np.square(apart), weights=self.counts)))

    def percentile(self, percent: float) -> float:
        """The least value that so many percent do not exceed."""
        wanted = percent / 100 * self.total
        at = int(np.searchsorted(np.cumsum(self.counts), wanted, side="left"))
        return float(self.values[min(at, len(self.values) - 1)])

    def below(self, value: float) -> float:
        """The share of pixels strictly below a value."""
        return float(self.counts[self.values < value].sum() / self.total)

    def above(self, value: float) -> float:
        """The share of pixels strictly above a value."""
        return float(self.counts[self.values > value].sum() / self.total)

    def share(self, value: float) -> float:
        """The share of pixels of exactly a value."""
        return float(self.counts[self.values == value].sum() / self.total)

    @property
    def most_common(self) -> tuple[float, float]:
        """The value that occurs most often, and its share."""
        at = int(self.counts.argmax())
        return float(self.values[at]), float(self.counts[at] / self.total)

    def through(self, channel: Channel) -> Distribution:
        """What a fixed channel makes of it.

        Raises:
            SpecError: A step is measured on each sample.
        """
        form = normal_form(channel)
        if form.input == "float32":
            after = apply_fixed_float(form, self.values.astype(np.float32))
        else:
            at = self.values.astype(np.int64) - first_value(form.input)
            after = fixed_table(form)[at]
        values, places = np.unique(after, return_inverse=True)
        counts = np.zeros(len(values), dtype=np.int64)
        np.add.at(counts, places.reshape(-1), self.counts)
        return Distribution(values.astype(np.float64), counts)
