"""Geometry: which slices or patches of a volume a model sees.

Each channel is normalized as a whole volume, by statistics of the whole case; patches
are cut from that. An axis that is shorter than the patch is filled evenly on both sides
with the channel's lowest normalized value of the case; on a longer one patches lie side
by side, and the last one is moved in to end with the volume. A model's geometry is part
of its card and covered by the applied fingerprint. NumPy only.

`_zyx` arrays are (slices, rows, columns); a 2D patch is one slice.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Plane = Literal["axial"]
Order = Literal["normalize-then-crop"]
Border = Literal["lowest"]
Statistics = Literal["case"]
MAX_SIDE = 4096
MAX_VOXELS = 1 << 24
"""Most voxels of a patch."""


class Box(NamedTuple):
    """A patch's number among all of its volume, and its first voxel, maybe outside."""

    unit: int
    z: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGeometry:
    """How volumes become what a model sees."""

    dims: int
    """2 for slices, 3 for patches."""
    patch: tuple[int, ...]
    """(rows, columns) or (slices, rows, columns), in voxels; nothing is resampled."""
    plane: Plane = "axial"
    """Slices go across the body, whatever the scanner's own plane."""
    order: Order = "normalize-then-crop"
    border: Border = "lowest"
    """What stands beyond the volume: the channel's lowest value of the case."""
    statistics: Statistics = "case"
    """What is measured on a sample is measured on the whole case, never on a slice."""

    def __post_init__(self) -> None:
        """Refuse a geometry that can't be followed.

        Raises:
            SettingsError: With the field, its value and what is expected.
        """
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed or isinstance(value, float):
                raise SettingsError(
                    f"geometry {name} is {value!r}; expected one of "
                    + ", ".join(map(str, allowed))
                )
        sides = self.patch
        whole = all(type(n) is int and 1 <= n <= MAX_SIDE for n in sides)
        if len(sides) != self.dims or not whole or math.prod(sides) > MAX_VOXELS:
            raise SettingsError(
                f"geometry patch is {sides}; expected {self.dims} numbers from 1 to "
                f"{MAX_SIDE}, and at most {MAX_VOXELS} voxels"
            )

    @property
    def patch_zyx(self) -> tuple[int, int, int]:
        """The patch as slices, rows and columns."""
        *slices, rows, columns = self.patch
        return (slices[0] if slices else 1), rows, columns

    def to_json(self) -> dict[str, Any]:
        """The geometry as plain JSON values, every field present."""
        return asdict(self) | {"patch": list(self.patch)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> VolumeGeometry:
        """Read what `to_json` gave.

        Raises:
            SettingsError: A field is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(map(str, set(values) ^ names)))
            raise SettingsError(f"geometry has missing or unknown fields: {odd}")
        if not isinstance(values["patch"], list | tuple):
            raise SettingsError(f"geometry patch is {values['patch']!r}, not a list")
        return cls(**{**values, "patch": tuple(values["patch"])})

    @property
    def digest(self) -> str:
        """The SHA-256 of the fields, in hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_ALLOWED: dict[str, tuple[object, ...]] = {
    "dims": (2, 3),
    "plane": get_args(Plane),
    "order": get_args(Order),
    "border": get_args(Border),
    "statistics": get_args(Statistics),
}


def boxes(geometry: VolumeGeometry, shape_zyx: tuple[int, int, int]) -> tuple[Box, ...]:
    """The patches that cover a volume, in the order of slices, rows, columns."""
    starts = [
        _starts(length, side)
        for length, side in zip(shape_zyx, geometry.patch_zyx, strict=True)
    ]
    return tuple(
        Box(unit, *corner) for unit, corner in enumerate(itertools.product(*starts))
    )


def crop(
    volume_zyx: NDArray[Any], box: Box, geometry: VolumeGeometry, fill: float
) -> NDArray[Any]:
    """Cut one patch from a volume.

    Args:
        volume_zyx: The volume.
        box: The patch's first voxel; it may lie outside.
        geometry: The patch's size.
        fill: What stands beyond the volume.

    Returns:
        (rows, columns) for 2D, (slices, rows, columns) for 3D; an array of its own.
    """
    patch = np.full(geometry.patch_zyx, fill, dtype=volume_zyx.dtype)
    source, target = _places(box, geometry, volume_zyx.shape)
    patch[target] = volume_zyx[source]
    return patch.reshape(geometry.patch)


def stitch(
    patches: NDArray[np.float32],
    found: Sequence[Box],
    geometry: VolumeGeometry,
    shape_zyx: tuple[int, int, int],
) -> NDArray[np.float32]:
    """Put patches together to the volume that they were cut from.

    Args:
        patches: (n, *patch), one for each box.
        found: Where they lie, as `boxes` gives them; they cover the volume.
        geometry: The patches' size.
        shape_zyx: Of the volume.

    Returns:
        Where patches overlap, their mean; what lies beyond the volume is left out.
    """
    total = np.zeros(shape_zyx, dtype=np.float64)
    count = np.zeros(shape_zyx, dtype=np.int32)
    for patch, box in zip(patches, found, strict=True):
        source, target = _places(box, geometry, shape_zyx)
        total[source] += patch.reshape(geometry.patch_zyx)[target]
        count[source] += 1
    result: NDArray[np.float32] = (total / count).astype(np.float32)
    return result


def _places(
    box: Box, geometry: VolumeGeometry, shape_zyx: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a volume that a patch shows, and the part of the patch that it is."""
    source, target = [], []
    for first, side, length in zip(box[1:], geometry.patch_zyx, shape_zyx, strict=True):
        low, high = max(first, 0), max(min(first + side, length), max(first, 0))
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    return tuple(source), tuple(target)


def _starts(length: int, side: int) -> list[int]:
    """Where patches begin along one axis."""
    if length <= side:
        return [-((side - length) // 2)]
    return [*range(0, length - side, side), length - side]
