"""Stacks: all planes of one acquisition, their markers, and what is said of a fault.

`_cyx` arrays are (channels, rows, columns); a patch of an embedding is a pixel here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.panel import Marker, bind, named
from normgate.errors import CorruptImage, DataError
from normgate.transform.exactness import as_type, narrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.panel import Panel
    from normgate.contract import Channel

DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_SIDE = 1 << 17
MAX_VALUES = 1 << 33


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What was read of one acquisition."""

    array_cyx: NDArray[Any]
    """Of one of `DTYPES`, in native order."""
    markers: tuple[Marker, ...] | None
    """What each plane is; None where the file names no channels."""
    place: str

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        _, rows, columns = self.array_cyx.shape
        return rows, columns

    def named(self, panel: Panel | None) -> Stack:
        """The same stack, its planes called as a study's panel does.

        Raises:
            DataError: As `panel.named`.
        """
        return Stack(
            array_cyx=self.array_cyx,
            markers=named(self.markers, panel, len(self.array_cyx), self.place),
            place=self.place,
        )

    def planes(self, channels: Sequence[Channel]) -> list[NDArray[Any]]:
        """One plane for each of a spec's channels, in the channel's own type.

        Raises:
            DataError: A marker is missing or duplicated, or a value does not fit.
        """
        names = [channel.name for channel in channels]
        markers = named(self.markers, None, len(self.array_cyx), self.place)
        return [
            as_type(self.array_cyx[at], channel.input, self.place, channel.name)
            for at, channel in zip(
                bind(names, markers, self.place), channels, strict=True
            )
        ]

    def scaled(self, scale: float | None) -> Stack:
        """The same stack with values multiplied by a declared scale, rounded once."""
        if scale is None:
            return self
        counts = (self.array_cyx.astype(np.float64) * scale).astype(np.float32)
        return Stack(array_cyx=counts, markers=self.markers, place=self.place)


def stack_of(
    values: NDArray[Any], markers: Sequence[Marker] | None, place: str
) -> Stack:
    """A stack of what a file holds, its type exact.

    Raises:
        CorruptImage: There is not one value in it.
        DataError: It is not (channels, rows, columns) of a type that is read, or has
            not as many channels as names.
    """
    if values.ndim != 3:
        raise DataError(
            f"{place} has shape {values.shape}; expected channels, rows and columns"
        )
    if not values.size:
        raise corrupt(place, "an acquisition", f"its shape is {values.shape}")
    if max(values.shape) > MAX_SIDE or values.size > MAX_VALUES:
        raise DataError(f"{place} has shape {values.shape}, which is too large; cut it")
    if markers is not None and len(markers) != len(values):
        raise DataError(
            f"{place} has {len(values)} planes, but names {len(markers)}; write it "
            "again with a name for each"
        )
    return Stack(
        array_cyx=narrowed(values, DTYPES, place),
        markers=None if markers is None else tuple(markers),
        place=place,
    )


def corrupt(place: object, kind: str, why: object) -> CorruptImage:
    """A file that can't be read, in a sentence."""
    told = str(why) or type(why).__name__
    return CorruptImage(f"{place} can't be read as {kind} ({told}); restore the file")
