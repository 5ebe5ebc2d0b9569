"""Reading images with every bit kept; what would lose bits is refused.

One plane is named by a file (`a.tif`), by a page of a file (`stack.tif#page=2`), or by
an array of a Zarr store and the plane's place on all axes but rows and columns
(`plate.zarr/B/2/0/0#plane=0,1,0`). Numbers count from 0. How TIFF and Zarr are read is
`tiff`'s and `zarrs`'s; what the values look like (8-bit content in a 16-bit file, an
offset) is judged in `inspection`.

`_yx` arrays are single planes (rows, columns).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from normgate.errors import CorruptImage, DataError
from normgate.plates import tiff, zarrs
from normgate.plates.header import DTYPES, MASK_DTYPES, PlaneHeader
from normgate.plates.tiff import read_description, split_page

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "DTYPES",
    "PlaneHeader",
    "file_digest",
    "plane_digest",
    "plane_state",
    "read_description",
    "read_header",
    "read_image",
    "read_mask",
    "read_plane",
    "split_page",
]


def read_image(path: Path | str) -> NDArray[Any]:
    """Read one plane with its bits kept.

    Args:
        path: The plane's name.

    Returns:
        The plane, (rows, columns), uint8, uint16, int16 or float32 in native order.

    Raises:
        CorruptImage: The file is missing, truncated or not what its name says.
        DataError: Colour, lossy compression, or another type of pixel.
    """
    return read_plane(path)[0]


def read_mask(path: Path | str) -> NDArray[Any]:
    """Read a mask or label image: any lossless integer or one-bit plane.

    Returns:
        The plane, (rows, columns), of an integer or bool type; 0 is background.

    Raises:
        CorruptImage: The file is missing, truncated or not what its name says.
        DataError: Colour, lossy compression, or fractional values.
    """
    return read_plane(path, mask=True)[0]


def read_plane(path: Path | str, *, mask: bool = False) -> tuple[NDArray[Any], str]:
    """Read one plane and what it was made of; see `read_image` and `read_mask`.

    Returns:
        The plane and the SHA-256, in hex, of its file's bytes. A plane of a Zarr store
        has no file of its own: its digest is that of its type, shape and pixels.
    """
    if zarrs.is_plane(path):
        plane_yx = zarrs.read(path, MASK_DTYPES if mask else DTYPES)
        return plane_yx, zarrs.pixel_digest(plane_yx)
    data = tiff.read_bytes(path)
    return tiff.decode(data, path, mask=mask), file_digest(data)


def read_header(path: Path | str, *, mask: bool = False) -> PlaneHeader:
    """Type, shape and number of planes, checked as `read_image` does, without pixels.

    Raises:
        CorruptImage: As `read_image`, so far as the header tells.
        DataError: As `read_image`.
    """
    if zarrs.is_plane(path):
        return zarrs.read_header(path, MASK_DTYPES if mask else DTYPES)
    return tiff.read_header(path, mask=mask)


def plane_digest(path: Path | str) -> str:
    """The digest that `read_plane` gives, or `absent` where nothing can be read."""
    try:
        if zarrs.is_plane(path):
            return zarrs.pixel_digest(zarrs.read(path, DTYPES + MASK_DTYPES))
        with split_page(path)[0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, CorruptImage, DataError):
        return "absent"


def plane_state(path: Path | str) -> str:
    """Describe a plane's files so that a repair shows: sizes and times of change."""
    if zarrs.is_plane(path):
        return zarrs.state(path)
    try:
        found = split_page(path)[0].stat()
    except OSError:
        return "missing"
    return f"{found.st_size}:{found.st_mtime_ns}"


def file_digest(data: bytes) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
