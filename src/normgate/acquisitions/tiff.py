"""Multichannel TIFF: OME-TIFF, ImageJ stacks and plain pages, as (channels, y, x).

Channels are named by OME-XML or by ImageJ's labels; a file without either names none.
Lossless compression and one sample a pixel only; a stack over time or depth is refused.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from tifffile import COMPRESSION, TiffFile

from normgate.acquisitions.panel import marker_of
from normgate.acquisitions.stack import corrupt, stack_of
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPageSeries

    from normgate.acquisitions.stack import Stack

_LOSSLESS: set[int] = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
}
_KIND = "a TIFF"
_MASK_DTYPES = ("bool", "uint8", "uint16", "uint32", "int16", "int32", "int64")
# tifffile logs what it finds odd; what matters is raised here with the file's name.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_tiff(path: Path) -> Stack:
    """Read a TIFF of several channels, values exact.

    Raises:
        CorruptImage: The file is missing, cut short or no TIFF.
        DataError: Lossy compression, colour, time or depth, or more names than planes.
    """
    values, names = _read(path)
    markers = None if names is None else [marker_of(name) for name in names]
    return stack_of(values, markers, str(path))


def read_mask(path: Path) -> NDArray[np.int64]:
    """Read a label image of cells, 0 where there is none.

    Returns:
        (rows, columns).

    Raises:
        CorruptImage: As `read_tiff`.
        DataError: It is not one plane of whole numbers from 0.
    """
    values, _ = _read(path)
    if len(values) != 1 or str(values.dtype) not in _MASK_DTYPES:
        raise DataError(
            f"mask {path} is {values.dtype} {values.shape}; expected one plane of "
            "whole numbers, one for each cell"
        )
    labels: NDArray[np.int64] = values[0].astype(np.int64)
    if labels.min() < 0:
        raise DataError(f"mask {path} holds {labels.min()}; cells count from 1")
    return labels


def _read(path: Path) -> tuple[NDArray[Any], list[str] | None]:
    try:
        with TiffFile(path) as tiff:
            _check_whole(tiff, path)
            series = tiff.series[0]
            values = _cyx(series.asarray(maxworkers=1), series.axes, path)
            planes = (tiff.imagej_metadata or {}).get("images", len(values))
            if planes != len(values):
                # Of a stack that was cut, tifffile gives the first plane.
                raise corrupt(path, _KIND, f"{len(values)} of {planes} planes are left")
            return values, _names(tiff, series, len(values), path)
    except (DataError, CorruptImage):
        raise
    except OSError as error:
        raise corrupt(path, _KIND, error.strerror or error) from error
    except Exception as error:
        raise corrupt(path, _KIND, error) from error


def _check_whole(tiff: TiffFile, path: Path) -> None:
    """Refuse what loses bits, and a file that ends before its pixels do."""
    if not tiff.series:
        raise corrupt(path, _KIND, "it holds no picture")
    if len(tiff.series) > 1:
        raise DataError(
            f"{path} holds {len(tiff.series)} images; export one acquisition a file"
        )
    size = path.stat().st_size
    for page in tiff.series[0].pages:
        if page is None:
            raise corrupt(path, _KIND, "a plane was never written")
        own = tiff.series[0].keyframe
        if own.compression not in _LOSSLESS or own.samplesperpixel != 1:
            name = getattr(own.compression, "name", own.compression)
            raise DataError(
                f"{path} is compressed by {name} with {own.samplesperpixel} sample(s) "
                "a pixel; export each channel's values as a plane, lossless TIFF"
            )
        ends = zip(page.dataoffsets, page.databytecounts, strict=True)
        end = max((offset + count for offset, count in ends), default=0)
        if end > size:
            raise corrupt(path, _KIND, f"cut short: {size:,} of at least {end:,} bytes")


def _cyx(values: NDArray[Any], axes: str, path: Path) -> NDArray[Any]:
    """Channels, rows and columns; an axis that is none of them must be 1 long."""
    if values.ndim == 3 and axes[-2:] == "YX":
        # Whatever the axis is called: plain pages have no name for it.
        named = axes[0] in "CIQS" or len(values) == 1
        if not named:
            raise DataError(
                f"{path} has axes {axes} {values.shape}; expected channels, rows and "
                "columns, so export one time and depth"
            )
        return values
    rest = [n for axis, n in zip(axes, values.shape, strict=True) if axis not in "CYX"]
    order = [axes.find(axis) for axis in "CYX"]
    if any(n != 1 for n in rest) or min(order[1:]) < 0:
        raise DataError(
            f"{path} has axes {axes} {values.shape}; expected channels, rows and "
            "columns, so export one time and depth"
        )
    if order[0] < 0:
        return values.reshape(1, *values.shape[-2:])
    return np.transpose(
        values, [*(i for i, a in enumerate(axes) if a not in "CYX"), *order]
    ).reshape([values.shape[i] for i in order])


def _names(
    tiff: TiffFile, series: TiffPageSeries, planes: int, path: Path
) -> list[str] | None:
    """What the file calls its channels; None where it does not."""
    if series.kind == "ome":
        names = _ome_names(str(tiff.ome_metadata), path)
    elif series.kind == "imagej":
        names = list((tiff.imagej_metadata or {}).get("Labels", []))
    else:
        names = []
    return names if len(names) == planes and all(names) else None


def _ome_names(text: str, path: Path) -> list[str]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise corrupt(path, "an OME-TIFF", error) from error
    image = root.find("{*}Image")
    found = [] if image is None else image.iterfind("{*}Pixels/{*}Channel")
    return [channel.get("Name") or channel.get("Fluor") or "" for channel in found]
