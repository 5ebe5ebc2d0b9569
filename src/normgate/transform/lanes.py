"""Sums in a fixed order: compiled where Numba is installed, else by NumPy, bit for bit.

A tracking server has no Numba and must still know what a measured step gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 8


def lane_sums(x: NDArray[np.float64], center: float) -> tuple[float, float]:
    """Return the sum of (x - center) and of its square, in a fixed order.

    Value i belongs to lane i % 8; a lane is summed from first to last, and then the
    lanes in order.

    Args:
        x: Values, flat and contiguous.
        center: What is taken off each first.
    """
    try:
        from normgate.transform import kernels
    except ImportError:
        return reference_lane_sums(x, center)
    one, two = kernels.lane_sums(x, center)
    return float(one), float(two)


def reference_lane_sums(x: NDArray[np.float64], center: float) -> tuple[float, float]:
    """The same by NumPy alone; `cumsum` adds in order, where `sum` adds in pairs."""
    away = np.zeros((-(-x.size // LANES) + 1, LANES))
    away[1:].reshape(-1)[: x.size] = x - center
    # A last row that is not full adds +0.0 to its other lanes, which changes no sum.
    total, square = np.cumsum(away, axis=0)[-1], np.cumsum(away * away, axis=0)[-1]
    return _in_order(total), _in_order(square)


def _in_order(lanes: NDArray[np.float64]) -> float:
    result = 0.0
    for value in lanes.tolist():
        result += value
    return result
