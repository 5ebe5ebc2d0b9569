"""Exact statistics of float32 images in constant memory, by two passes.

The first pass counts the upper 16 bits of each pixel's pattern, with the sums that an
exact mean and standard deviation need. The second counts the lower 16 bits in the few
bins that hold the wanted ranks. Both are mergeable and order-independent.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

BINS = 1 << 16
HALF = 1 << 32
MOST_FINE_BINS = 255
# Upper halves from the most negative number over zero to the most positive one.
ASCENDING = np.r_[BINS - 1 : BINS // 2 - 1 : -1, 0 : BINS // 2]


class FloatHistogram:
    """The first pass: counts by upper half of the pattern, and exact sums; 2 MB."""

    def __init__(self) -> None:
        # Columns: count; sum of lower halves; sum of their squares, low and high.
        self._parts = np.zeros((BINS, 4), dtype=np.uint64)

    @property
    def total(self) -> int:
        """How many pixels were counted."""
        return int(self._parts[:, 0].sum())

    def add(self, image: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Count an image's pixels.

        Args:
            image: Float32 pixels of any shape, fewer than 2**32.
            mask: Booleans of the same shape; only true pixels count.

        Raises:
            DataError: If dtype or shape differ, or a counted pixel is NaN or infinite;
                nothing of the image is counted then.
        """
        parts = np.zeros((BINS, 3), dtype=np.uint64)
        kernels.count_high(*_patterns(image, mask), parts)
        exponents = parts[:, 0].reshape(2, 256, 128)
        if exponents[:, 255].any():
            raise DataError(
                f"{int(exponents[:, 255].sum())} of {image.size} pixels are NaN or "
                "infinite, expected finite numbers; mend or leave out the image"
            )
        self._parts[:, :2] += parts[:, :2]
        self._parts[:, 2] += parts[:, 2] % HALF
        self._parts[:, 3] += parts[:, 2] // HALF

    def merge(self, other: FloatHistogram) -> None:
        """Add another histogram's counts and sums to this one."""
        self._parts += other._parts

    def fine(self, percentiles: Sequence[float]) -> FineHistogram:
        """Begin the second pass, for these percentiles (0..100).

        Raises:
            DataError: If no pixel was counted, or too many percentiles are wanted.
        """
        below, above, _ = ranks(self.total, list(percentiles))
        cumulated = np.cumsum(self._parts[ASCENDING, 0].astype(np.int64))
        wanted = np.unique(np.concatenate([below, above]))
        bins = np.unique(ASCENDING[np.searchsorted(cumulated, wanted, side="right")])
        if len(bins) > MOST_FINE_BINS:
            raise DataError(
                f"{len(percentiles)} percentiles fall in {len(bins)} bins, expected at "
                f"most {MOST_FINE_BINS}; ask for fewer percentiles"
            )
        return FineHistogram(self._parts[:, 0].astype(np.int64), bins)

    def coarse(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values that occur, cut to their upper halves, rising, and their counts."""
        counts = self._parts[ASCENDING, 0].astype(np.int64)
        occurring = np.flatnonzero(counts)
        patterns = ASCENDING[occurring].astype(np.uint32) << 16
        values = patterns.view(np.float32).astype(np.float64) + 0.0
        # Both zeros are one value.
        distinct, places = np.unique(values, return_inverse=True)
        joined = np.zeros(len(distinct), dtype=np.int64)
        np.add.at(joined, places, counts[occurring])
        return distinct, joined

    @property
    def mean(self) -> float:
        """The exact mean, rounded once.

        Raises:
            DataError: If no pixel was counted.
        """
        return mean_of(self.total, self._sums()[0])

    def std(self, ddof: int = 0) -> float:
        """Return the standard deviation, its variance exact and rounded once.

        Raises:
            DataError: If there are not more than ddof pixels.
        """
        return std_of(self.total, *self._sums(), ddof)

    def to_bytes(self) -> bytes:
        """Write an npz archive that `from_bytes` reads."""
        return archive(parts=self._parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> FloatHistogram:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: If the bytes are something else.
        """
        histogram = cls()
        histogram._parts += unarchive(data, "parts")["parts"]
        return histogram

    def _sums(self) -> tuple[Fraction, Fraction]:
        """The exact sum of pixels and of their squares.

        A pattern is a sign, an exponent e and a mantissa m = upper * 2**16 + lower; its
        value is m * 2**(e - 150), with the hidden bit in upper where e is not 0.
        """
        # In whole units of the smallest subnormal number, for fractions are slow.
        one = two = 0
        for high in np.flatnonzero(self._parts[:, 0]).tolist():
            count, low, *squares = (int(part) for part in self._parts[high])
            exponent, hidden = (high >> 7) & 255, 128
            upper = ((high & 127) + (hidden if exponent else 0)) << 16
            shift = max(exponent, 1) - 1
            sign = -1 if high >> 15 else 1
            one += sign * (upper * count + low) << shift
            square = squares[0] + squares[1] * HALF
            two += (upper * upper * count + 2 * upper * low + square) << 2 * shift
        return Fraction(one, 1 << 149), Fraction(two, 1 << 298)


class FineHistogram:
    """The second pass: counts of lower halves in chosen bins; half a MB a bin.

    Args:
        coarse: Int64 (65536,): the first pass's counts by upper half.
        bins: The upper halves to count within, ascending.
        counts: Int64 (len(bins), 65536) to start from, else all zero.
    """

    def __init__(
        self,
        coarse: NDArray[np.int64],
        bins: NDArray[np.int64],
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        self._coarse, self._bins = coarse, bins
        self._slots = np.zeros(BINS, dtype=np.uint8)
        self._slots[bins] = np.arange(1, len(bins) + 1)
        empty = np.zeros((len(bins), BINS), dtype=np.int64)
        self._counts = empty if counts is None else empty + counts

    def add(self, image: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Count the pixels of an image that the first pass has seen.

        Raises:
            DataError: If dtype or shape differ.
        """
        kernels.count_low(*_patterns(image, mask), self._slots, self._counts)

    def merge(self, other: FineHistogram) -> None:
        """Add another second pass over the same first pass.

        Raises:
            DataError: If it belongs to another first pass.
        """
        same = np.array_equal(self._coarse, other._coarse)
        if not same or not np.array_equal(self._bins, other._bins):
            raise DataError(
                "two second passes belong to different first passes; merge all first "
                "passes before the second begins"
            )
        self._counts += other._counts

    def percentile(self, percentiles: ArrayLike) -> NDArray[np.float64]:
        """Return percentiles (0..100), those that this pass was begun for.

        They equal `numpy.percentile(pixels, [q])`, which interpolates in float64
        between float32 neighbours.

        Raises:
            DataError: If another percentile is asked, or the second pass has not seen
                exactly the images of the first.
        """
        if not np.array_equal(self._counts.sum(axis=1), self._coarse[self._bins]):
            raise DataError(
                "the second pass has not seen the same pixels as the first; add every "
                "image, with the same mask, to both"
            )
        below, above, weight = ranks(int(self._coarse.sum()), percentiles)
        return interpolate(self._values(below), self._values(above), weight)

    def to_bytes(self) -> bytes:
        """Write an npz archive that `from_bytes` reads."""
        return archive(coarse=self._coarse, bins=self._bins, counts=self._counts)

    @classmethod
    def from_bytes(cls, data: bytes) -> FineHistogram:
        """Read what `to_bytes` wrote.

        Raises:
            DataError: If the bytes are something else.
        """
        parts = unarchive(data, "coarse", "bins", "counts")
        return cls(parts["coarse"], parts["bins"], parts["counts"])

    def _values(self, rank: NDArray[np.int64]) -> NDArray[np.float32]:
        values = [self._value(int(one)) for one in rank.reshape(-1)]
        return np.array(values, dtype=np.float32).reshape(rank.shape)

    def _value(self, rank: int) -> np.float32:
        cumulated = np.cumsum(self._coarse[ASCENDING])
        place = int(np.searchsorted(cumulated, rank, side="right"))
        high = int(ASCENDING[place])
        slot = int(self._slots[high])
        if not slot:
            raise DataError(
                "the second pass was not begun for this percentile; name all "
                "percentiles when it begins"
            )
        within = rank - (int(cumulated[place - 1]) if place else 0)
        negative = high >> 15
        lows = self._counts[slot - 1]
        ordered = np.cumsum(lows[::-1] if negative else lows)
        low = int(np.searchsorted(ordered, within, side="right"))
        pattern = (high << 16) | (BINS - 1 - low if negative else low)
        return np.uint32(pattern).view(np.float32) + np.float32(0)


def _patterns(
    image: NDArray[Any], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    flat = flat_pixels(image, "float32").view(np.uint32)
    return flat, kernels.no_mask() if mask is None else flat_mask(mask, image)
