"""Exact statistics of any number of images in constant memory, mergeable.

A histogram of every value is exact, and merging it is addition: the result depends
neither on the order of images nor on how they were shared out. Percentiles equal
`numpy.percentile(method="linear")` of all pixels together to the bit; mean and
standard deviation are rounded once from exact rationals. For int16, NumPy's own
percentile wraps where neighbours lie more than 32767 apart; here it doesn't.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from normgate.errors import DataError
from normgate.transform import kernels
from normgate.transform.estimates import (
    archive,
    flat_mask,
    flat_pixels,
    interpolate,
    mean_of,
    ranks,
    std_of,
    unarchive,
)
from normgate.transform.float_histogram import FineHistogram, FloatHistogram
from normgate.transform.table import first_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FineHistogram", "FloatHistogram", "IntegerHistogram"]

IntegerType = Literal["uint8", "uint16", "int16"]


class IntegerHistogram:
    """Counts of every value of an integer dtype; half a megabyte at 16 bits.

    Args:
        input_type: The dtype of the images to come.
        counts: Counts to start from, ascending by value, else all zero.
    """

    def __init__(
        self, input_type: IntegerType, counts: NDArray[np.int64] | None = None
    ) -> None:
        self.input_type: IntegerType = input_type
        self.first = first_value(input_type)
        empty = np.zeros(np.iinfo(input_type).max - self.first + 1, dtype=np.int64)
        self.counts = empty if counts is None else empty + counts
        """Int64 (256,) or (65536,): counts[value - first]."""

    @property
    def total(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum())

    def add(self, image: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Count an image's pixels.

        Args:
            image: Pixels of this histogram's dtype, any shape.
            mask: Booleans of the same shape; only true pixels count.

        Raises:
            DataError: If dtype or shape differ.
        """
        flat = flat_pixels(image, self.input_type)
        if mask is None:
            kernels.count(flat, self.counts, self.first)
        else:
            kernels.count_masked(flat, flat_mask(mask, image), self.counts, self.first)

    def merge(self, other: IntegerHistogram) -> None:
        """Add another histogram's counts to this one.

        Raises:
            DataError: If its dtype differs.
        """
        if other.input_type != self.input_type:
            raise DataError(
                f"can't merge a histogram of {other.input_type} into one of "
                f"{self.input_type}; measure them as separate channels"
            )
        self.counts += other.counts

    def percentile(self, percentiles: ArrayLike) -> NDArray[np.float64]:
        """Return percentiles (0..100) in counts; shape of the argument.

        Raises:
            DataError: If no pixel was counted.
        """
        cumulated = np.cumsum(self.counts)

        def ranked(rank: NDArray[np.int64]) -> NDArray[np.float64]:
            index = np.searchsorted(cumulated, rank, side="right")
            return (index + self.first).astype(np.float64)

        below, above, weight = ranks(self.total, percentiles)
        return interpolate(ranked(below), ranked(above), weight)

    @property
    def mean(self) -> float:
        """The exact mean, rounded once.

        Raises:
            DataError: If no pixel was counted.
        """
        count, one, _ = self._sums()
        return mean_of(count, Fraction(one))

    def std(self, ddof: int = 0) -> float:
        """Return the standard deviation, its variance exact and rounded once.

        Raises:
            DataError: If there are not more than ddof pixels.
        """
        count, one, two = self._sums()
        return std_of(count, Fraction(one), Fraction(two), ddof)

    def to_bytes(self) -> bytes:
        """Write an npz archive that `from_bytes` reads."""
        return archive(input_type=np.array(self.input_type), counts=self.counts)

    @classmethod
    def from_bytes(cls, data: bytes) -> IntegerHistogram:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: If the bytes are something else.
        """
        parts = unarchive(data, "input_type", "counts")
        name = str(parts["input_type"].item())
        for known in get_args(IntegerType):
            if name == known:
                return cls(known, parts["counts"])
        raise DataError(f"found a histogram of {name}, expected an integer dtype")

    def _sums(self) -> tuple[int, int, int]:
        values = np.flatnonzero(self.counts) + self.first
        counts = [int(n) for n in self.counts[values - self.first]]
        pairs = list(zip(values.tolist(), counts, strict=True))
        one = sum(value * n for value, n in pairs)
        return sum(counts), one, sum(value * value * n for value, n in pairs)
