"""The metadata of one Zarr array (format 2 or 3), judged before any chunk is read.

A store may come from anywhere, so nothing is opened before its document says that it
holds plain numbers, compressed by codecs that keep every bit, in pieces of a size that
memory can take. A name of a plane is the array's folder and the plane's place on all
axes but the last two: `plate.zarr/B/2/0/0#plane=0,1,0`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PLANE = re.compile(r"(?P<array>.*)#plane=(?P<index>\d+(?:,\d+)*)?")
V2, V3 = ".zarray", "zarr.json"
_LOSSLESS_V2 = {"blosc", "zstd", "gzip", "zlib", "lz4", "lzma", "bz2"}
_PLAIN_V3 = {"bytes", "transpose", "crc32c", "blosc", "zstd", "gzip"}
_LOSSLESS_V3 = _PLAIN_V3 | {f"numcodecs.{name}" for name in _LOSSLESS_V2}
MOST_BYTES = 2**31
"""The largest plane, and the largest chunk, that is decoded."""
_EXPORT = "write raw counts with a lossless codec such as zstd or blosc"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLayout:
    """How an array is laid out in its folder."""

    folder: Path
    document: Mapping[str, Any]
    """Its metadata, `zarr.json` or `.zarray`."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    """What one file of the store holds: a chunk, or a shard of chunks."""
    dtype: str
    """NumPy's name of the type, without byte order."""

    @property
    def format(self) -> int:
        """The Zarr format, 2 or 3."""
        return int(self.document["zarr_format"])

    @property
    def metadata_file(self) -> Path:
        """The file of the document."""
        return self.folder / (V3 if self.format == 3 else V2)

    def files(self, index: tuple[int, ...]) -> Iterator[Path]:
        """The files that hold the chunks of one plane, in order."""
        place = [[at // size] for at, size in zip(index, self.chunks, strict=False)]
        across = [
            range(-(-side // size))
            for side, size in zip(self.shape[-2:], self.chunks[-2:], strict=True)
        ]
        for grid in product(*place, *across):
            yield self.folder / self._key(grid)

    def _key(self, grid: Iterable[int]) -> str:
        numbers = list(map(str, grid))
        if self.format == 2:
            return str(self.document.get("dimension_separator", ".")).join(numbers)
        encoding = self.document["chunk_key_encoding"]
        own = encoding.get("configuration", {})
        if encoding["name"] == "v2":
            return str(own.get("separator", ".")).join(numbers)
        return str(own.get("separator", "/")).join(["c", *numbers])


def is_plane(path: Path | str) -> bool:
    """Whether a name is that of a plane of a Zarr array."""
    return _PLANE.fullmatch(str(path)) is not None


def plane_name(folder: Path, index: Iterable[int]) -> Path:
    """The name of a plane of an array."""
    return Path(f"{folder}#plane={','.join(map(str, index))}")


def split_plane(path: Path | str) -> tuple[Path, tuple[int, ...]]:
    """The array's folder, and the plane's place on all axes but the last two.

    Raises:
        DataError: The name is not that of a plane.
    """
    found = _PLANE.fullmatch(str(path))
    if found is None:
        msg = f"{path} names no plane of an array; write array#plane=0,1,0"
        raise DataError(msg)
    numbers = (found["index"] or "").split(",")
    return Path(found["array"]), tuple(int(text) for text in numbers if text)


def read_layout(folder: Path) -> ArrayLayout:
    """Read and judge the metadata of an array.

    Raises:
        CorruptImage: There is no metadata, or it is not that of an array.
        DataError: The array's codecs may lose bits, or its pieces are too large.
    """
    document = _document(folder)
    try:
        layout = _layout(folder, document)
        for codec in _codecs(document):
            _check_codec(codec, document, folder)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise corrupt(folder, f"its metadata is malformed: {error!r}") from error
    size = np.dtype(layout.dtype).itemsize
    for what, sides in (("plane", layout.shape[-2:]), ("chunk", layout.chunks)):
        if math.prod(sides) * size > MOST_BYTES:
            msg = f"{folder} has a {what} of {sides} {layout.dtype} pixels"
            raise DataError(f"{msg}; write it with {what}s of less than 2 GiB")
    return layout


def corrupt(path: Path | str, why: object) -> CorruptImage:
    """The refusal of a plane that can't be read."""
    msg = f"{path} can't be read as a plane of a Zarr array ({why}); restore the store"
    return CorruptImage(msg)


def _document(folder: Path) -> Mapping[str, Any]:
    for name in (V3, V2):
        try:
            found = json.loads((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise corrupt(folder, f"{name}: {error}") from error
        if isinstance(found, dict):
            return found
        raise corrupt(folder, f"{name} holds no object")
    raise corrupt(folder, f"there is no {V3} and no {V2}")


def _layout(folder: Path, document: Mapping[str, Any]) -> ArrayLayout:
    version = document["zarr_format"]
    if version == 2:
        chunks, dtype = document["chunks"], np.dtype(document["dtype"]).name
    elif version == 3:
        if document["node_type"] != "array":
            raise ValueError(f"node_type is {document['node_type']!r}, not array")
        grid = document["chunk_grid"]
        if grid["name"] != "regular":
            raise ValueError(f"chunk grid {grid['name']!r}, not regular")
        chunks = grid["configuration"]["chunk_shape"]
        dtype = np.dtype(document["data_type"]).name
    else:
        raise ValueError(f"zarr_format is {version!r}, expected 2 or 3")
    shape = _sides(document["shape"], "shape")
    if len(shape) < 2 or len(chunks) != len(shape):
        raise ValueError(f"shape {shape}, chunks {chunks}")
    return ArrayLayout(
        folder=folder,
        document=document,
        shape=shape,
        chunks=_sides(chunks, "chunks"),
        dtype=dtype,
    )


def _sides(values: Iterable[object], what: str) -> tuple[int, ...]:
    sides = tuple(values)
    if not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f"{what} is {list(sides)}")
    return tuple(int(str(side)) for side in sides)


def _codecs(document: Mapping[str, Any]) -> Iterator[str]:
    """Names of all codecs; those inside shards too."""
    if document["zarr_format"] == 2:
        filters = document.get("filters") or []
        yield from (str(one["id"]) for one in filters)
        if document.get("compressor") is not None:
            yield str(document["compressor"]["id"])
        return
    waiting = list(document["codecs"])
    while waiting:
        codec = waiting.pop()
        if codec["name"] == "sharding_indexed":
            inner = codec["configuration"]
            waiting += [*inner["codecs"], *inner.get("index_codecs", [])]
        else:
            yield str(codec["name"])


def _check_codec(name: str, document: Mapping[str, Any], folder: Path) -> None:
    known = _LOSSLESS_V2 if document["zarr_format"] == 2 else _LOSSLESS_V3
    if name not in known:
        msg = f"{folder} is stored through codec {name!r}, which may lose bits or is "
        raise DataError(f"{msg}not known here; {_EXPORT}")
