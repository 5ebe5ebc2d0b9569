"""A volume: CT, MRI or a mask as an array in patient space.

Whatever the file's own axes are, arrays are turned (by exchanging and reversing axes
alone, so that no value changes) to the order of DICOM: z rises to the head, y to the
back, x to the patient's left, so that a slice is looked at from the feet with the face
up. Files are read in `nifti`, `dicom` and `nrrd`; pairs are judged in `pairing`.

`_zyx` arrays are (slices, rows, columns), `_xyz` ones as most files store them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from normgate.errors import CorruptImage, DataError
from normgate.transform import exactness

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXES = ("L", "P", "S")
"""Where x, y and z of every volume rise to."""
MAX_VOXELS = 1 << 29
"""Most voxels of a volume; a broken header may claim any number."""
TELLING_DEGREES = 1.0
"""Oblique by less than this is not worth a note."""
_WHOLE_FLOAT32 = 1 << 24
"""Whole numbers up to this are exact in float32."""


Rescale = tuple[float, float]
"""`value * slope + intercept`."""
AS_IT_IS: Rescale = (1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One volume."""

    array_zyx: NDArray[Any]
    """int16 where the file's numbers are whole and fit, else float32; bool: a mask."""
    affine: NDArray[np.float64]
    """(4, 4): from voxel (x, y, z, 1) to mm towards right, anterior, superior."""
    path: str
    notes: tuple[str, ...] = ()
    """What a person should know: oblique, tilted, padded, two geometries in a file."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxels along z, y, x."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    def with_array(self, array_zyx: NDArray[Any]) -> Volume:
        """The same place with other values."""
        return replace(self, array_zyx=array_zyx)


def corrupt(path: object, kind: str, why: object) -> CorruptImage:
    """A file that can't be read, in a sentence."""
    told = str(why) or type(why).__name__
    return CorruptImage(f"{path} can't be read as {kind} ({told}); restore the file")


def check_size(shape: tuple[int, ...], path: object) -> None:
    """Refuse what is not three axes of a size that can be held.

    Raises:
        DataError: With the shape that was found.
    """
    if len(shape) != 3 or min(shape) < 1 or np.prod(shape, dtype=object) > MAX_VOXELS:
        raise DataError(
            f"{path} has shape {shape}, expected three axes and at most {MAX_VOXELS} "
            "voxels; save one volume a file, without time, channels or colour"
        )


def oriented(
    array_xyz: NDArray[Any], affine: NDArray[np.float64], path: object
) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """Turn a volume's axes to left, posterior, superior.

    Args:
        array_xyz: Values, in any order of axes that the affine tells.
        affine: (4, 4), from its indices to mm towards right, anterior, superior.
        path: The file, for errors.

    Returns:
        The array (z, y, x), contiguous; its affine; notes on its geometry.

    Raises:
        DataError: The affine is none.
    """
    linear = affine[:3, :3]
    sizes = np.linalg.norm(linear, axis=0)
    finite = bool(np.isfinite(affine).all())
    if not finite or sizes.min() <= 0 or abs(np.linalg.det(linear / sizes)) < 1e-3:
        raise DataError(
            f"{path} has no geometry that maps voxels to patient space (its affine is "
            f"{affine[:3].tolist()}); write the scanner's geometry into the file"
        )
    own = io_orientation(affine)
    turn = ornt_transform(own, axcodes2ornt(AXES))
    turned = apply_orientation(array_xyz, turn)
    new = np.asarray(affine @ inv_ornt_aff(turn, array_xyz.shape), dtype=np.float64)
    return np.ascontiguousarray(turned.T), new, _notes(new, affine)


def scaled(
    stored: NDArray[Any], own: Rescale, declared: Rescale | None, path: object
) -> NDArray[Any]:
    """Rescale what a file holds, in binary64 and rounded once.

    Args:
        stored: What the file holds: integers or floats.
        own: Slope and intercept that the file itself tells.
        declared: A further slope and intercept, after the file's own.
        path: The file, for errors.

    Returns:
        int16 where stored numbers, slopes and intercepts are whole and the result
        fits; else float32.

    Raises:
        DataError: The values are no real numbers, NaN, infinite, or whole numbers that
            float32 would round.
    """
    if stored.dtype.kind not in "iu" and stored.dtype not in (
        np.dtype(t).newbyteorder(stored.dtype.byteorder) for t in ("f2", "f4", "f8")
    ):
        raise DataError(
            f"{path} holds {stored.dtype} voxels, expected whole or real numbers; "
            "export one gray value a voxel"
        )
    numbers = (*own, *(declared or AS_IT_IS))
    if not (np.isfinite(numbers).all() and numbers[0] != 0 and numbers[2] != 0):
        raise DataError(
            f"{path} is to be rescaled by slopes and intercepts {numbers}, expected "
            "finite numbers and no slope of 0; mend its header or its row"
        )
    if stored.dtype.kind in "iu" and all(number.is_integer() for number in numbers):
        a, b, c, d = map(int, numbers)
        return _whole(stored, a * c, b * c + d, path)
    slope, intercept, factor, addend = numbers
    out = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for at, plane in enumerate(stored):
            inner = plane.astype(np.float64) * slope + intercept
            out[at] = inner * factor + addend
    bad = int(out.size - np.count_nonzero(np.isfinite(out)))
    if bad:
        raise DataError(
            f"{path}: {bad} of {out.size} voxels are NaN, infinite or beyond float32; "
            "expected finite numbers; mend the file (0 for MRI, -1000 HU for CT)"
        )
    return out


def as_type(volume: Volume, dtype: str, what: str) -> NDArray[Any]:
    """A volume's values in the type that a spec declares, none of them changed.

    Args:
        volume: What was read.
        dtype: The spec's type for it.
        what: The channel, for errors.

    Raises:
        DataError: A value is not exact in that type.
    """
    return exactness.as_type(volume.array_zyx, dtype, volume.path, what)


def mask_of(volume: Volume) -> Volume:
    """A volume of labels as a mask: true where it is not 0.

    Raises:
        DataError: It holds fractions or negative numbers, so it is no label image.
    """
    values = volume.array_zyx
    if values.dtype == np.float32 and not np.array_equal(values, np.rint(values)):
        raise DataError(
            f"{volume.path} holds fractions from {values.min():.4g} to "
            f"{values.max():.4g}, expected a mask of whole labels; threshold the "
            "probabilities and save 0 and 1"
        )
    if values.min() < 0:
        raise DataError(
            f"{volume.path} holds {values.min():g}, expected a mask of labels from 0"
        )
    return volume.with_array(values != 0)


def _whole(
    stored: NDArray[Any], slope: int, intercept: int, path: object
) -> NDArray[Any]:
    """Whole numbers in the narrowest type that holds them exactly."""
    ends = [int(stored.min()) * slope, int(stored.max()) * slope]
    low, high = min(ends) + intercept, max(ends) + intercept
    if max(abs(low), abs(high)) > _WHOLE_FLOAT32:
        raise DataError(
            f"{path} holds whole numbers from {low} to {high}, which float32 would "
            "round; expected at most 2**24; save smaller numbers"
        )
    fits = low >= -(1 << 15) and high < 1 << 15
    out = np.empty(stored.shape, dtype=np.int16 if fits else np.float32)
    for at, plane in enumerate(stored):
        out[at] = plane.astype(np.int64) * slope + intercept
    return out


def _notes(affine: NDArray[np.float64], stored: NDArray[np.float64]) -> tuple[str, ...]:
    """What of a geometry is out of the ordinary."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    square = np.abs(directions.T @ directions - np.eye(3)).max()
    turned = np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0), -1, 1))).max()
    codes = "".join(aff2axcodes(stored))
    found = []
    if turned > TELLING_DEGREES:
        found.append(f"oblique by {turned:.1f} degrees, stored as {codes}")
    tilt = np.degrees(np.arcsin(min(float(square), 1.0)))
    if tilt > TELLING_DEGREES:
        found.append(f"slices are sheared by {tilt:.1f} degrees, as by a tilted gantry")
    return tuple(found)
