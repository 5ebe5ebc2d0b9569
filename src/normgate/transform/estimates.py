"""Percentile, mean and standard deviation from exact ranks and exact sums.

Shared by histograms and per-sample steps, so that one definition gives all of them.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import DataError

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import ArrayLike, NDArray


def flat_pixels(image: NDArray[Any], input_type: str) -> NDArray[Any]:
    """Return pixels flat, contiguous and in native byte order.

    Raises:
        DataError: If the dtype is not the one expected.
    """
    if image.dtype.newbyteorder("=") != np.dtype(input_type):
        raise DataError(
            f"found {image.dtype} pixels, expected {input_type}; read the file without "
            "conversion, or use a spec for its dtype"
        )
    return np.ascontiguousarray(image, dtype=input_type).reshape(-1)


def flat_mask(mask: NDArray[np.bool_], image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask flat.

    Raises:
        DataError: If it is not boolean or not of the image's shape.
    """
    if mask.shape != image.shape or mask.dtype != np.bool_:
        raise DataError(
            f"found a mask of {mask.dtype} {mask.shape}, expected booleans of the "
            f"image's shape {image.shape}"
        )
    return np.ascontiguousarray(mask).reshape(-1)


def ranks(
    count: int, percentiles: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the two neighbouring ranks of each percentile and the upper's weight.

    The arithmetic is that of `numpy.percentile(method="linear")`.

    Raises:
        DataError: If there is no pixel, or a percentile is outside 0..100.
    """
    quantiles = np.asarray(percentiles, dtype=np.float64) / 100
    if count == 0:
        raise DataError(
            "no pixel was counted, so percentiles are undefined; check masks and files"
        )
    if not np.all((quantiles >= 0) & (quantiles <= 1)):
        raise DataError(f"percentiles {quantiles * 100} must lie within 0..100")
    place = (count - 1) * quantiles
    below = np.minimum(np.floor(place).astype(np.int64), count - 1)
    # As NumPy does: at the very end the weight counts from index -1, harmlessly.
    return below, np.minimum(below + 1, count - 1), place - below


def inverted_cdf_rank(count: int, percentiles: ArrayLike) -> NDArray[np.int64]:
    """Return the rank of each percentile by `numpy.percentile`'s inverted_cdf."""
    place = count * (np.asarray(percentiles, dtype=np.float64) / 100) - 1
    return np.maximum(np.ceil(place), 0).astype(np.int64)


def interpolate(
    below: NDArray[Any], above: NDArray[Any], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate with the order of operations of `numpy.percentile`.

    Args:
        below: Values at the lower ranks, float32 or float64.
        above: Values at the upper ranks. Their difference is rounded to their own
            type, as NumPy does, unless float32 is too narrow for it.
        weight: Weights 0..1 of the upper ones.
    """
    with np.errstate(over="ignore"):
        width = (above - below).astype(np.float64)
    low, high = below.astype(np.float64), above.astype(np.float64)
    width = np.where(np.isfinite(width), width, high - low)
    return np.where(weight >= 0.5, high - width * (1 - weight), low + width * weight)


def mean_of(count: int, one: Fraction) -> float:
    """Round an exact mean once.

    Raises:
        DataError: If no pixel was counted.
    """
    if count == 0:
        raise DataError("no pixel was counted, so the mean is undefined; check masks")
    return float(one / count)


def std_of(count: int, one: Fraction, two: Fraction, ddof: int) -> float:
    """Return the square root of an exact variance that was rounded once.

    Raises:
        DataError: If there are not more than ddof pixels.
    """
    if count <= ddof:
        raise DataError(
            f"{count} pixels were counted, expected more than ddof {ddof}; check masks"
        )
    return math.sqrt(float((count * two - one * one) / (count * (count - ddof))))


def archive(**parts: NDArray[Any]) -> bytes:
    """Write arrays as npz bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **parts)
    return buffer.getvalue()


def unarchive(data: bytes, *names: str) -> dict[str, NDArray[Any]]:
    """Read named arrays from npz bytes, without pickles.

    Raises:
        DataError: If the bytes are something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            return {name: parts[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(
            "this is not a saved histogram; delete it and measure again"
        ) from error
