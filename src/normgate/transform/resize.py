"""Resize images by an antialiased triangle filter, to the same bits everywhere.

Weights are quotients of integers, rounded once to binary64; taps are multiplied and
added in rising order, rows before columns, and the sum is rounded once to float32.
That needs no BLAS and no fused multiply-add, so the NumPy reference here and the
compiled kernel agree bit for bit. Torch's `interpolate(mode="bilinear",
antialias=True)` has the same weights: its float64 agrees to the last float32 bit, its
float32 rounds positions and differs by up to 1e-3 of a step between pixels.

Axes: c channel, h height (rows), w width (columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from normgate.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT_TAPS = 256


@dataclass(frozen=True, slots=True)
class Taps:
    """One axis' weights: output i is the sum of weights[i, k] * x[starts[i] + k]."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """Taps of each output; weights beyond are 0."""
    weights: NDArray[np.float64]


def resize(
    image_chw: NDArray[np.float32], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Resize every channel with the compiled kernel.

    Args:
        image_chw: Float32 (channels, height, width).
        size_hw: Height and width of the result, in pixels.

    Returns:
        Float32 (channels, *size_hw), a new array; an exact copy where the size is the
        same.

    Raises:
        DataError: If the image is not float32 with three axes, or a size is below 1.
    """
    # Numba is wanted only here: a tracking server uses the reference alone.
    from normgate.transform import kernels

    _check(image_chw, size_hw)
    if image_chw.shape[1:] == tuple(size_hw):
        return image_chw.copy()
    rows, columns = (
        taps(old, new) for old, new in zip(image_chw.shape[1:], size_hw, strict=True)
    )
    source = np.ascontiguousarray(image_chw)
    result = np.empty((len(source), *size_hw), dtype=np.float32)
    between = np.empty((size_hw[0], source.shape[2]))
    for plane, out in zip(source, result, strict=True):
        kernels.shrink_rows(plane, between, rows.starts, rows.sizes, rows.weights)
        kernels.shrink_columns(
            between, out, columns.starts, columns.sizes, columns.weights
        )
    return result


def reference_resize(
    image_chw: NDArray[np.float32], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Resize every channel in NumPy alone; the same bits as `resize`, slower.

    Args:
        image_chw: Float32 (channels, height, width).
        size_hw: Height and width of the result, in pixels.

    Raises:
        DataError: If the image is not float32 with three axes, or a size is below 1.
    """
    _check(image_chw, size_hw)
    height, width = image_chw.shape[1:]
    if (height, width) == tuple(size_hw):
        return image_chw.copy()
    rows_hcw = np.moveaxis(image_chw, 1, 0).astype(np.float64)
    rows_hcw = _weighted(rows_hcw, taps(height, size_hw[0]))
    result_whc = _weighted(rows_hcw.transpose(2, 0, 1), taps(width, size_hw[1]))
    return np.ascontiguousarray(result_whc.transpose(2, 1, 0), dtype=np.float32)


@lru_cache(maxsize=KEPT_TAPS)
def taps(old: int, new: int) -> Taps:
    """Return the triangle filter's weights from old to new pixels of one axis.

    Output i is centered at c = (i + 1/2) * old / new of the input; the triangle is
    max(old / new, 1) pixels wide on each side, cut at the border and normalized. All
    multiplied by 2 * new, so that every weight is a quotient of integers.
    """
    reach = 2 * max(old, new)
    center = (2 * np.arange(new, dtype=np.int64) + 1) * old
    # Pixel j's center stands at (2 j + 1) * new on the same scale.
    starts = np.maximum((center - reach + new) // (2 * new), 0)
    stops = np.minimum((center + reach + new) // (2 * new), old)
    sizes = stops - starts
    offsets = np.arange(int(sizes.max()), dtype=np.int64)
    place = (2 * (starts[:, None] + offsets) + 1) * new
    heights = np.maximum(reach - np.abs(place - center[:, None]), 0)
    heights[offsets >= sizes[:, None]] = 0
    weights = heights / heights.sum(axis=1, keepdims=True)
    for array in (starts, sizes, weights):
        array.setflags(write=False)
    return Taps(starts, sizes, weights)


def _weighted(x: NDArray[np.float64], axis: Taps) -> NDArray[np.float64]:
    """Sum weighted slices of the first axis, tap by tap in rising order."""
    total = np.zeros((len(axis.starts), *x.shape[1:]))
    for k in range(axis.weights.shape[1]):
        some = np.flatnonzero(k < axis.sizes)
        weight = axis.weights[some, k].reshape(-1, *([1] * (x.ndim - 1)))
        total[some] += weight * x[axis.starts[some] + k]
    return total


def _check(image_chw: NDArray[np.float32], size_hw: tuple[int, int]) -> None:
    if image_chw.ndim != 3 or image_chw.dtype != np.float32 or not image_chw.size:
        raise DataError(
            f"resize found {image_chw.dtype} of shape {image_chw.shape}, expected "
            "float32 (channels, height, width); normalize before resizing"
        )
    if min(size_hw) < 1:
        raise DataError(f"resize to {size_hw} is not possible; give sizes above 0")
