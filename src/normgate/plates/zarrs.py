"""Planes of Zarr arrays, read with every bit kept; `read` is the way in.

A chunk that is not in the store reads as the array's fill value, which is how Zarr
writes empty ones; a plane of which no chunk is there was never written, or was lost.

`_yx` arrays are single planes (rows, columns).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from normgate.errors import CorruptImage, DataError
from normgate.plates.header import DTYPES, PlaneHeader
from normgate.plates.zarr_array import (
    ArrayLayout,
    corrupt,
    is_plane,
    read_layout,
    split_plane,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["absent", "is_plane", "pixel_digest", "read", "read_header", "state"]


def read(path: Path | str, types: Sequence[str] = DTYPES) -> NDArray[Any]:
    """Read one plane.

    Args:
        path: `array#plane=0,1,0`.
        types: Names of the types that are read.

    Returns:
        The plane, (rows, columns), in native order.

    Raises:
        CorruptImage: The store lacks the plane, or a chunk can't be decoded.
        DataError: The array's codecs may lose bits, or its type is not read.
    """
    read_header(path, types)
    folder, index = split_plane(path)
    try:
        store = LocalStore(folder, read_only=True)
        plane_yx = np.asarray(zarr.open_array(store=store, mode="r")[index])
    except Exception as error:
        raise corrupt(path, error) from error
    order = plane_yx.dtype.newbyteorder("=")
    return np.ascontiguousarray(plane_yx.astype(order, copy=False))


def read_header(path: Path | str, types: Sequence[str] = DTYPES) -> PlaneHeader:
    """Type and shape of a plane, checked as `read` does, without pixels.

    Raises:
        CorruptImage: As `read`, so far as the metadata and the files tell.
        DataError: As `read`.
    """
    layout, index = _plane(path)
    if layout.dtype not in types:
        msg = f"{path} holds {layout.dtype} pixels; expected {', '.join(types)}"
        raise DataError(msg)
    if not any(file.is_file() for file in layout.files(index)):
        raise corrupt(path, "none of its chunks is in the store")
    rows, columns = layout.shape[-2:]
    planes = int(np.prod(layout.shape[:-2], dtype=np.int64))
    return PlaneHeader(layout.dtype, (rows, columns), planes)


def absent(path: Path | str) -> tuple[int, int]:
    """How many chunks of a plane are not in the store, and how many it has.

    Raises:
        CorruptImage: The array's metadata can't be read.
        DataError: As `read`.
    """
    layout, index = _plane(path)
    there = [file.is_file() for file in layout.files(index)]
    return there.count(False), len(there)


def state(path: Path | str) -> str:
    """Describe the files of a plane so that a repair shows."""
    try:
        layout, index = _plane(path)
    except (CorruptImage, DataError):
        files = [split_plane(path)[0] / name for name in ("zarr.json", ".zarray")]
    else:
        files = [layout.metadata_file, *layout.files(index)]
    digest = hashlib.sha256()
    known = False
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue
        known = True
        digest.update(f"{file.name}:{found.st_size}:{found.st_mtime_ns}\n".encode())
    return digest.hexdigest() if known else "missing"


def pixel_digest(plane_yx: NDArray[Any]) -> str:
    """The SHA-256 over type, shape and little-endian pixels, in hex."""
    little = plane_yx.astype(plane_yx.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{plane_yx.dtype.name} {plane_yx.shape}\n".encode())
    digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def _plane(path: Path | str) -> tuple[ArrayLayout, tuple[int, ...]]:
    """The array of a plane, and the plane's place, which the array must have."""
    folder, index = split_plane(path)
    layout = read_layout(folder)
    leading = layout.shape[:-2]
    if len(index) != len(leading) or any(
        at >= side for at, side in zip(index, leading, strict=True)
    ):
        msg = f"{path}: the array has axes of {layout.shape}; name one plane of them"
        raise DataError(msg)
    return layout, index
