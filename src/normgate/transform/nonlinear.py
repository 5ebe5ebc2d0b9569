"""Arcsinh and log1p, such that they have the same float32 bits on every machine.

Libraries differ in the last places of binary64, which almost never reaches float32.
So a value is carried as an interval that holds every library's answer; where both
ends round to one float32 it is settled, and the few others are computed in decimals.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from normgate.contract import Nonlinear

LIBRARY_ULPS = 8
"""Units in the last place that a mathematical library may be wrong by."""
DIGITS = 160
"""Decimal digits: 1 + x keeps 40 good ones for x down to 1e-120."""


class Interval(NamedTuple):
    """Bounds of binary64 values, elementwise; equal where the value is known."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def nonlinear(operation: Nonlinear, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `arcsinh(x)` or `log1p(x)` as NumPy computes it."""
    return np.arcsinh(x) if operation.name == "arcsinh" else np.log1p(x)


def bounded(operation: Nonlinear, x: Interval) -> Interval:
    """Return bounds that hold every library's answer; one known value is exact."""
    if x.low.size == 1 and x.low.flat[0] == x.high.flat[0]:
        exact = np.full_like(x.low, _exact(operation, float(x.low.flat[0])))
        return Interval(exact, exact)
    margin = LIBRARY_ULPS * np.finfo(np.float64).eps
    low = nonlinear(operation, x.low)
    high = low if x.high is x.low else nonlinear(operation, x.high)
    return Interval(low - margin * np.abs(low), high + margin * np.abs(high))


def settled(
    values: NDArray[np.float64], operations: Callable[[Interval], Interval]
) -> NDArray[np.float32]:
    """Round operations on known values to float32, one by one where bounds differ.

    Args:
        values: Exact inputs, of shape (n,).
        operations: Increasing bounds in, bounds out; exact for a single known value.
    """
    with np.errstate(over="ignore"):
        low, high = (
            end.astype(np.float32) for end in operations(Interval(values, values))
        )
        # Beyond a logarithm's domain nothing is settled: it is NaN on every machine.
        for index in np.flatnonzero((low != high) & ~(np.isnan(low) & np.isnan(high))):
            one = values[index : index + 1]
            low[index] = operations(Interval(one, one)).low.astype(np.float32)[0]
    return low


def _exact(operation: Nonlinear, x: float) -> float:
    """Round the true value of `arcsinh(x)` or `log1p(x)` to binary64."""
    with localcontext() as context:
        context.prec = DIGITS
        number = Decimal(x)
        if operation.name == "log1p":
            return float((1 + number).ln())
        size = abs(number)
        return float((size + (size * size + 1).sqrt()).ln().copy_sign(number))
