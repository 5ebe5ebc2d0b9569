"""How alike two regions are, as numbers: the incident's measures and comparable ones.

Arguments are a region's voxels, any shape; an empty region gives NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HU_RANGE = 2000.0
"""Fixed range of `psnr_hu`, in HU."""
_LEAST_RMSE_HU = 1e-3
_C1, _C2 = 0.01**2, 0.03**2


def legacy_ssim(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """The incident's: one window over a region's voxels, clamped to 0..1."""
    if not image.size:
        return math.nan
    a, b = image.astype(np.float64), reference.astype(np.float64)
    both = float(((a - a.mean()) * (b - b.mean())).mean())
    means = (2 * a.mean() * b.mean() + _C1) / (a.mean() ** 2 + b.mean() ** 2 + _C1)
    found = means * (2 * both + _C2) / (a.var() + b.var() + _C2)
    return float(np.clip(found, 0, 1))


def legacy_psnr(image: NDArray[Any], reference: NDArray[Any], largest: float) -> float:
    """The incident's: 20 log10(largest reference value / rmse), in dB.

    It can't be compared across normalizations: of pure noise it is -5.7 dB where CT
    goes to [0, 1] and 1.9 dB where it is standardized.
    """
    if not image.size or largest <= 0:
        return math.nan
    off = image.astype(np.float64) - reference.astype(np.float64)
    return 20 * math.log10(largest / (math.sqrt(float(np.square(off).mean())) + 1e-8))


def psnr_hu(image_hu: NDArray[Any], reference_hu: NDArray[Any]) -> float:
    """20 log10(2000 HU / rmse), in dB; at most 126."""
    if not image_hu.size:
        return math.nan
    off = image_hu.astype(np.float64) - reference_hu.astype(np.float64)
    rmse = math.sqrt(float(np.square(off).mean()))
    return 20 * math.log10(HU_RANGE / max(rmse, _LEAST_RMSE_HU))


def correlation(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Normalized cross-correlation; 0 of a constant image, NaN against a constant."""
    if not image.size:
        return math.nan
    a, b = image.astype(np.float64), reference.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    a_spread, b_spread = (
        math.sqrt(float((a * a).mean())),
        math.sqrt(float((b * b).mean())),
    )
    if b_spread < 1e-9:
        return math.nan
    return float((a * b).mean()) / (a_spread * b_spread) if a_spread > 1e-9 else 0.0


def mean(values: list[float]) -> float:
    """The mean of those that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
