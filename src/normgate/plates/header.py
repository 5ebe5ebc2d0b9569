"""What a plane's header tells before its pixels are read, and which pixels count."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("uint8", "uint16", "int16", "float32")
"""Pixels of images."""
MASK_DTYPES = ("bool", "uint8", "uint16", "uint32", "int16", "int32")
"""Pixels of masks and label images."""


@dataclass(frozen=True, slots=True)
class PlaneHeader:
    """What a file or array says of one plane."""

    dtype: str
    shape_yx: tuple[int, int]
    pages: int
    """Planes that the file or array holds."""
