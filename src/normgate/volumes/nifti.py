"""Reading NIfTI with every bit kept: byte order, scl_slope and scl_inter, affine.

The sform is taken where it is set, else the qform; a file with neither has no place in
the patient and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np

from normgate.errors import CorruptImage, DataError
from normgate.volumes.volume import (
    Rescale,
    Volume,
    check_size,
    corrupt,
    oriented,
    scaled,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".nii", ".nii.gz")
KIND = "NIfTI"
FAR_MM = 0.1
"""Where sform and qform are further apart than this, it is noted."""
_UNITS = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiFormat:
    """How a file is laid out, so that another can be written alike."""

    suffix: str
    endianness: str
    """`<` or `>`."""
    version: int
    """1 or 2."""
    axes: tuple[str, ...]
    """Where its axes rise to, as `("R", "A", "S")`."""
    sform: bool
    """Whether the geometry stands in the sform, else in the qform."""


def read_nifti(path: Path, declared: Rescale | None = None) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file, `.nii` or `.nii.gz`.

    Args:
        path: The file.
        declared: A slope and intercept to apply after the file's own.

    Raises:
        CorruptImage: The file is missing, cut short or not NIfTI.
        DataError: It is no single volume of real numbers with a place in the patient.
    """
    image = _opened(path)
    shape = image.shape[:3] if image.shape[3:] == (1,) * len(image.shape[3:]) else ()
    check_size(tuple(shape) or image.shape, path)
    affine, notes = _affine(image, path)
    stored = _stored(image, path).reshape(shape)
    turned_zyx, turned, odd = oriented(stored, affine, path)
    # nibabel moves scl_slope and scl_inter here; a slope of 0 or NaN is none, by NIfTI.
    own = float(image.dataobj.slope), float(image.dataobj.inter)
    return Volume(
        array_zyx=scaled(turned_zyx, own, declared, path),
        affine=turned,
        path=str(path),
        notes=(*notes, *odd),
    )


def read_format(path: Path) -> NiftiFormat:
    """How a NIfTI file is laid out.

    Raises:
        CorruptImage: The file is missing or not NIfTI.
    """
    image = _opened(path)
    header = image.header
    return NiftiFormat(
        suffix=_suffix(path),
        endianness=header.endianness,
        version=2 if isinstance(image, nibabel.Nifti2Image) else 1,
        axes=tuple(str(code) for code in nibabel.aff2axcodes(image.affine)),
        sform=int(header["sform_code"]) > 0,
    )


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise DataError(f"{path} is not named .nii or .nii.gz; convert it to NIfTI")


def _opened(path: Path) -> Any:
    """Open a file; whatever nibabel raises on opening is a corrupt image, named."""
    _suffix(path)
    try:
        image = nibabel.load(path)
    except FileNotFoundError as error:
        raise corrupt(path, KIND, "the file is missing") from error
    except Exception as error:
        raise corrupt(path, KIND, error) from error
    if not isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image):
        raise CorruptImage(f"{path} holds {type(image).__name__}, expected NIfTI")
    return image


def _stored(image: Any, path: Path) -> NDArray[Any]:
    """The numbers as the file holds them, before its own slope and intercept."""
    try:
        return np.asarray(image.dataobj.get_unscaled())
    except Exception as error:
        raise corrupt(path, KIND, error) from error


def _affine(image: Any, path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The affine in mm, and what is odd about it."""
    header = image.header
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        raise DataError(
            f"{path} is in {_UNITS.get(unit, unit)}, expected mm; convert its header"
        )
    try:
        own, code = header.get_sform(coded=True)
        other, other_code = header.get_qform(coded=True)
    except Exception as error:
        raise corrupt(path, KIND, error) from error
    if not code and not other_code:
        raise DataError(
            f"{path} has neither sform nor qform, so nothing tells left from right; "
            "write the scanner's geometry into its header"
        )
    affine = np.asarray(own if code else other, dtype=np.float64)
    if code and other_code:
        apart = float(np.abs(_corners(own, image) - _corners(other, image)).max())
        if apart > FAR_MM:
            return affine, (f"sform and qform lie {apart:.1f} mm apart; sform taken",)
    return affine, ()


def _corners(affine: Any, image: Any) -> NDArray[np.float64]:
    """Where the eight corners lie, in mm (3, 8)."""
    matrix = np.asarray(affine, dtype=np.float64)
    last = np.array(image.shape[:3]) - 1
    at = np.array(np.meshgrid(*((0, n) for n in last))).reshape(3, -1)
    corners: NDArray[np.float64] = matrix[:3, :3] @ at + matrix[:3, 3:]
    return corners
