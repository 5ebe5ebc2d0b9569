"""Beside the bootstrap: Fieller's interval of a rescue, and wells that look healthy.

Fieller's interval is that of a ratio of normal means whose numerator and denominator
share the diseased mean (Fieller 1954). It knows wells only, not units or replicates: it
checks the bootstrap and does not replace it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UPPER = 0.975


def fieller(
    treated: NDArray[np.float64],
    disease: NDArray[np.float64],
    healthy: NDArray[np.float64],
) -> tuple[float, float]:
    """The 95% interval of (m_disease - m_treated) / (m_disease - m_healthy).

    Args:
        treated: Scores of a treatment's wells.
        disease: Scores of the diseased control wells.
        healthy: Scores of the healthy control wells.

    Returns:
        Low and high; NaN of fewer than two wells of a kind, and where the control means
        can't be told apart at this level, for then the interval has no end.
    """
    kinds = (treated, disease, healthy)
    if min(map(len, kinds)) < 2:
        return float("nan"), float("nan")
    of_treated, of_disease, of_healthy = (k.var(ddof=1) / len(k) for k in kinds)
    apart = disease.mean() - healthy.mean()
    ratio = (disease.mean() - treated.mean()) / apart
    v11, v22, v12 = of_disease + of_treated, of_disease + of_healthy, of_disease
    t = student.ppf(_UPPER, sum(map(len, kinds)) - len(kinds))
    g = t**2 * v22 / apart**2
    if not 0 < g < 1:
        return float("nan"), float("nan")
    inside = v11 - 2 * ratio * v12 + ratio**2 * v22 - g * (v11 - v12**2 / v22)
    reach = t / abs(apart) * np.sqrt(inside)
    middle = ratio - g * v12 / v22
    return float((middle - reach) / (1 - g)), float((middle + reach) / (1 - g))


def healthy_like(treated: NDArray[np.float64], healthy: NDArray[np.float64]) -> float:
    """Share of a treatment's wells inside the healthy wells' 95% prediction interval.

    NaN of fewer than two healthy wells.
    """
    if len(healthy) < 2 or not len(treated):
        return float("nan")
    t = student.ppf(_UPPER, len(healthy) - 1)
    reach = t * healthy.std(ddof=1) * np.sqrt(1 + 1 / len(healthy))
    return float((np.abs(treated - healthy.mean()) <= reach).mean())
