"""TIFF files: one gray plane a page, lossless, every bit kept; `read` is the way in.

A plane is a file, or a page of it: `stack.tif#page=2` (pages count from 0; the pages of
an OME-TIFF are its planes in file order).

`_yx` arrays are single planes (rows, columns).
"""

from __future__ import annotations

import io
import logging
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from normgate.errors import CorruptImage, DataError
from normgate.plates.header import DTYPES, MASK_DTYPES, PlaneHeader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LOSSLESS = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
}
_GRAY = {PHOTOMETRIC.MINISBLACK}
# One-bit masks and label images with colours for the eye: the values are what counts.
_MASK_GRAY = _GRAY | {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE}
_WHY = "JPEG and screen pictures lose bits"
_EXPORT = "export the raw counts as one gray channel, lossless TIFF"
_PAGE = re.compile(r"(?P<file>.*)#page=(?P<page>\d+)")
# tifffile logs what it finds odd; what matters is raised here with the file's name.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def split_page(path: Path | str) -> tuple[Path, int]:
    """The file and the page (from 0) that a plane's name stands for."""
    found = _PAGE.fullmatch(str(path))
    return (
        (Path(path), 0) if found is None else (Path(found["file"]), int(found["page"]))
    )


def read_bytes(path: Path | str) -> bytes:
    """The bytes of the file that holds a plane.

    Raises:
        CorruptImage: The file is missing or the disk fails.
        DataError: The file is of a kind that is not read.
    """
    file, _ = split_page(path)
    _check_kind(file)
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f"{file} can't be read ({error.strerror}); restore the file"
        raise CorruptImage(msg) from error


def decode(data: bytes, path: Path | str, *, mask: bool = False) -> NDArray[Any]:
    """Decode one plane from a file's bytes; see `read.read_plane`."""
    with _opened(io.BytesIO(data), path) as tiff:
        page = _page(tiff, path)
        _check_page(page, path, len(data), mask=mask)
        try:
            plane_yx = np.asarray(page.asarray(maxworkers=1))
        except Exception as error:
            raise _corrupt(path, error) from error
    return plane_yx.astype(plane_yx.dtype.newbyteorder("="), copy=False)


def read_header(path: Path | str, *, mask: bool = False) -> PlaneHeader:
    """Type, shape and number of pages, checked as `decode` does, without pixels.

    Raises:
        CorruptImage: As `decode`, so far as the header tells.
        DataError: As `decode`.
    """
    file, _ = split_page(path)
    _check_kind(file)
    with _opened(file, path) as tiff:
        page = _page(tiff, path)
        _check_page(page, path, file.stat().st_size, mask=mask)
        return PlaneHeader(
            str(page.dtype), (page.imagelength, page.imagewidth), len(tiff.pages)
        )


def read_description(path: Path | str) -> str:
    """The text of the first page's ImageDescription; empty when there is none.

    Raises:
        CorruptImage: The file is missing or not a TIFF.
    """
    file, _ = split_page(path)
    with _opened(file, path) as tiff:
        return str(_page(tiff, file).description)


@contextmanager
def _opened(source: Path | io.BytesIO, path: Path | str) -> Iterator[TiffFile]:
    """Open a TIFF; whatever tifffile raises on opening is a corrupt image, named."""
    try:
        tiff = TiffFile(source)
    except OSError as error:
        raise _corrupt(path, error.strerror or error) from error
    except Exception as error:
        raise _corrupt(path, error) from error
    with tiff:
        yield tiff


def _page(tiff: TiffFile, path: Path | str) -> TiffPage:
    """The page that a plane's name stands for."""
    _, number = split_page(path)
    try:
        count = len(tiff.pages)
        page = tiff.pages[number] if number < count else None
    except Exception as error:
        raise _corrupt(path, error) from error
    if count == 0:
        raise _corrupt(path, "it holds no picture")
    if page is None:
        msg = f"{path}: the file has {count} page(s), counted from 0; name one of them"
        raise DataError(msg)
    return page if isinstance(page, TiffPage) else page.aspage()


def _check_kind(file: Path) -> None:
    """Refuse kinds of file that are not TIFF, with the way out."""
    suffix = file.suffix.lower()
    if suffix == ".gz":
        msg = f"{file} is packed; unpack it first (gunzip) and name the TIFF"
        raise DataError(msg)
    if suffix not in (".tif", ".tiff"):
        msg = f"{file} is not a TIFF; export the raw counts as TIFF ({_WHY})"
        raise DataError(msg)


def _check_page(page: TiffPage, path: Path | str, size: int, *, mask: bool) -> None:
    """Refuse what loses bits, what is not one gray plane, and what is cut short."""
    if page.compression not in _LOSSLESS:
        name = getattr(page.compression, "name", page.compression)
        msg = f"{path} is compressed by {name}, which may be lossy; {_EXPORT}"
        raise DataError(msg)
    gray = _MASK_GRAY if mask else _GRAY
    if page.samplesperpixel != 1 or page.photometric not in gray:
        name = getattr(page.photometric, "name", page.photometric)
        msg = (
            f"{path} is stored as {name} with {page.samplesperpixel} sample(s) a "
            f"pixel, not as one channel's counts; {_EXPORT}"
        )
        raise DataError(msg)
    allowed = MASK_DTYPES if mask else DTYPES
    if str(page.dtype) not in allowed:
        msg = f"{path} holds {page.dtype} pixels; expected {', '.join(allowed)}"
        raise DataError(msg)
    _check_whole(page, path, size)


def _check_whole(page: TiffPage, path: Path | str, size: int) -> None:
    """Refuse a file whose pixels are missing or end beyond the file."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(count == 0 for _, count in segments):
        raise _corrupt(path, "parts of the picture were never written")
    end = max(offset + count for offset, count in segments)
    if end > size:
        raise _corrupt(path, f"cut short: {size:,} bytes of at least {end:,}")
    if len(page.shape) != 2:
        msg = f"{path} has axes {page.axes} {page.shape}; expected one plane a page"
        raise DataError(msg)


def _corrupt(path: Path | str, why: object) -> CorruptImage:
    return CorruptImage(f"{path} can't be read as a TIFF ({why}); restore the file")
