"""Writing a plane as another one is written: what a reader then does, it does to both.

Of a TIFF: byte order, compression, strips or tiles, page of a stack. Of a Zarr array:
its very metadata (format, chunks, shards, codecs, byte order, axes) with the plane at
the same place among others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from tifffile import TiffFile, TiffWriter

from normgate.contract.files import write_atomic
from normgate.plates.read import read_header, split_page
from normgate.plates.zarr_array import (
    is_plane,
    plane_name,
    read_layout,
    split_plane,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from normgate.plates.zarr_array import ArrayLayout


def write_like(
    folder: Path, stem: str, plane_yx: NDArray[Any], like: Path | None
) -> Path:
    """Write one plane in the format of one of the data's own.

    Args:
        folder: Where to.
        stem: A name that no other plane there has.
        plane_yx: The plane.
        like: The name of the other plane; plain TIFF without it.

    Returns:
        The name of the plane written.

    Raises:
        CorruptImage: The other plane can't be read.
        DataError: The other plane is not raw counts.
    """
    if like is None:
        path = folder / f"{stem}.tif"
        with TiffWriter(path) as writer:
            writer.write(plane_yx, photometric="minisblack", metadata=None)
        return path
    read_header(like)
    write = _write_zarr if is_plane(like) else _write_tiff
    return write(folder, stem, plane_yx, like)


def _write_tiff(folder: Path, stem: str, plane_yx: NDArray[Any], like: Path) -> Path:
    file, number = split_page(like)
    suffix = ".ome.tif" if file.name.lower().endswith(".ome.tif") else file.suffix
    path = folder / (stem + suffix)
    with TiffFile(file) as model:
        options = _options(model, number)
        order, big, pages = model.byteorder, model.is_bigtiff, len(model.pages)
    with TiffWriter(path, byteorder=order, bigtiff=big) as writer:
        for page in range(pages):
            other = plane_yx if page == number else np.flip(plane_yx)
            writer.write(other, contiguous=False, metadata=None, **options)
    return Path(f"{path}#page={number}") if number else path


def _options(model: TiffFile, number: int) -> dict[str, Any]:
    """How one page of a file is laid out."""
    page = model.pages[number].aspage()
    options: dict[str, Any] = {
        "photometric": "minisblack",
        "compression": int(page.compression),
        "predictor": page.predictor > 1,
    }
    if page.is_tiled:
        options["tile"] = (page.tilelength, page.tilewidth)
    else:
        options["rowsperstrip"] = page.rowsperstrip
    return options


def _write_zarr(folder: Path, stem: str, plane_yx: NDArray[Any], like: Path) -> Path:
    source, index = split_plane(like)
    layout = read_layout(source)
    path = folder / f"{stem}.zarr"
    document = _retyped(layout, plane_yx)
    document["shape"] = [*layout.shape[:-2], *plane_yx.shape]
    path.mkdir()
    write_atomic(path / layout.metadata_file.name, json.dumps(document).encode())
    array = zarr.open_array(str(path), mode="r+")
    array[index] = plane_yx
    for other in _neighbours(index, layout.shape):
        array[other] = np.flip(plane_yx)
    return plane_name(path, index)


def _retyped(layout: ArrayLayout, plane_yx: NDArray[Any]) -> dict[str, Any]:
    """An array's document for pixels of the plane's type, in its own byte order."""
    document: dict[str, Any] = json.loads(json.dumps(layout.document))
    if layout.dtype == plane_yx.dtype.name:
        return document
    document["fill_value"] = 0
    if layout.format == 2:
        order = np.dtype(document["dtype"]).byteorder.replace("|", "<")
        document["dtype"] = plane_yx.dtype.newbyteorder(order).str
        return document
    document["data_type"] = plane_yx.dtype.name
    waiting = list(document["codecs"])
    while waiting:
        codec = waiting.pop()
        own = codec.setdefault("configuration", {})
        waiting += own.get("codecs", [])
        if codec["name"] == "bytes":
            own.setdefault("endian", "little")
    return document


def _neighbours(
    index: tuple[int, ...], shape: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """Places of planes beside one: a reader that takes a wrong one is found out."""
    for axis, at in enumerate(index):
        for other in (at - 1, at + 1):
            if 0 <= other < shape[axis]:
                yield (*index[:axis], other, *index[axis + 1 :])
