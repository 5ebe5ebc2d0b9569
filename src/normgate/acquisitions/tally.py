"""Exact counts of several channels over acquisitions; merging two is addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from normgate.errors import DataError
from normgate.transform.float_histogram import FineHistogram, FloatHistogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_Counts = TypeVar("_Counts", FloatHistogram, FineHistogram)


@dataclass(slots=True)
class Tally(Generic[_Counts]):
    """Exact counts of several channels; merging two is addition."""

    names: tuple[str, ...]
    counts: list[_Counts]
    """A histogram for each channel."""
    acquisitions: tuple[str, ...] = ()

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

    def merge(self, other: Tally[_Counts]) -> None:
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


def empty(names: tuple[str, ...]) -> Tally[FloatHistogram]:
    """A tally that has seen nothing."""
    return Tally(names, [FloatHistogram() for _ in names])


def _refuse_twice(names: Sequence[str], counted: Sequence[str]) -> None:
    both = sorted(set(names) & set(counted))
    if both:
        raise DataError(
            f"acquisition {both[0]} is counted twice; name each acquisition once"
        )
