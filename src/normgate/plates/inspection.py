"""What the values of a picture give away: traps of bit depth and range.

Nothing is mended here. A finding is a sentence for a person who then decides, since
numbers measured on such files mean something else than they seem to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from normgate.plates import zarrs
from normgate.plates.read import read_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FindingKind = Literal[
    "constant",
    "not-finite",
    "times-257",
    "offset-32768",
    "shifted",
    "eight-bit-range",
    "bit-depth",
    "saturated",
    "absent-chunks",
    "missing-site",
    "metadata",
]
_MIDDLE = 32768
_SATURATED = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know before measuring or training."""

    kind: FindingKind
    where: str
    """The file, or the place on the plate."""
    sentence: str


def inspect(path: Path | str) -> tuple[Finding, ...]:
    """Read a picture and say what its values give away.

    Raises:
        CorruptImage: The file can't be read.
        DataError: The file is not raw counts.
    """
    return (*absent_chunks(path), *inspect_array(read_image(path), str(path)))


def absent_chunks(path: Path | str) -> tuple[Finding, ...]:
    """Chunks that are not in the store: written empty, or lost on the way."""
    if not zarrs.is_plane(path):
        return ()
    lacking, total = zarrs.absent(path)
    if not lacking:
        return ()
    text = f"{lacking} of {total} chunks are not in the store and read as its fill "
    text += "value: they were empty, or lost in copying"
    return (Finding("absent-chunks", str(path), text),)


def inspect_array(plane_yx: NDArray[Any], where: str) -> tuple[Finding, ...]:
    """Say what a picture's values give away.

    Args:
        plane_yx: Raw counts (rows, columns).
        where: What to call the picture.
    """
    if plane_yx.dtype.kind == "f":
        return _inspect_float(plane_yx, where)
    low, high = int(plane_yx.min()), int(plane_yx.max())
    if low == high:
        text = f"every pixel is {low}: the channel is empty or dead"
        return (Finding("constant", where, text),)
    found = []
    if plane_yx.dtype.itemsize > 1:
        found = _inspect_depth(plane_yx, low, high, where)
    share = float(np.mean(plane_yx == high))
    if share >= _SATURATED and high in (255, 4095, 16383, 65535):
        text = f"{share:.1%} of the pixels are at {high}: the channel is saturated"
        found.append(Finding("saturated", where, text))
    return tuple(found)


def _inspect_depth(
    plane_yx: NDArray[Any], low: int, high: int, where: str
) -> list[Finding]:
    """The first trap of a 16-bit file that explains its values."""
    kind = f"{plane_yx.dtype} file"
    if low >= 0 and not (plane_yx % 257).any():
        text = f"8-bit values times 257 in a {kind} ({low}..{high}): at most 256 levels"
        return [Finding("times-257", where, text)]
    if low >= _MIDDLE:
        bits = (high - _MIDDLE).bit_length()
        text = (
            f"values {low}..{high} in a {kind}: {bits}-bit data with an offset of "
            "32768; subtract it, or clip from above it"
        )
        return [Finding("offset-32768", where, text)]
    step = int(np.bitwise_or.reduce(plane_yx, axis=None)) & 0xFFFF
    zeros = (step & -step).bit_length() - 1
    if zeros >= 2:
        text = f"every value is a multiple of {1 << zeros}: {16 - zeros}-bit data "
        return [Finding("shifted", where, text + "shifted to the left")]
    if low >= 0 and high < 1 << 8:
        text = f"values {low}..{high} in a {kind}: the range of 8 bits"
        return [Finding("eight-bit-range", where, text)]
    if low >= 0 and high < 1 << 14:
        bits = 12 if high < 1 << 12 else 14
        ceiling = " and touches their limit" if high == (1 << bits) - 1 else ""
        text = f"values {low}..{high} in a {kind}: fits {bits} bits{ceiling}"
        return [Finding("bit-depth", where, text)]
    return []


def _inspect_float(plane_yx: NDArray[Any], where: str) -> tuple[Finding, ...]:
    bad = int(np.count_nonzero(~np.isfinite(plane_yx)))
    if bad:
        text = f"{bad} pixels are NaN or infinite"
        return (Finding("not-finite", where, text),)
    if plane_yx.size and plane_yx.min() == plane_yx.max():
        text = f"every pixel is {plane_yx.flat[0]:g}: the channel is empty or dead"
        return (Finding("constant", where, text),)
    return ()
