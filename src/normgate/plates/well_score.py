"""How the scores of a well's units become the well's: mean, median, trimmed, weighted.

Axes: s slots for the units of a well, of which the first n are filled; before it any
others, such as draws and wells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIMMED = 0.1
"""Share of units that a trimmed mean leaves out at either end."""
WORDS = {
    "mean": "the mean over its cells",
    "median": "the median of its cells",
    "trimmed": "the mean over its cells without the highest and lowest tenth",
    "weighted": "the mean over its cells, weighted by how sure the model is of each,",
}
"""Each way, by its name, as a reader is told of it."""


def checked_way(parameter: str, how: str) -> str:
    """The way itself.

    Raises:
        SettingsError: With the parameter: there is no such way.
    """
    if how not in WORDS:
        raise SettingsError(
            f"{parameter} is {how!r}, expected one of {', '.join(WORDS)}"
        )
    return how


def well_scores(
    units_xs: NDArray[np.float64], sizes_x: NDArray[np.int64], how: str
) -> NDArray[np.float64]:
    """Bring the units of each well together.

    Args:
        units_xs: Scores of units, logit differences; what stands beyond a well's size
            is ignored.
        sizes_x: Units of each well, one or more.
        how: `mean`, `median`, `trimmed` (without `TRIMMED` of the units, rounded down,
            at either end) or `weighted` (by |2 p - 1| = |tanh(score / 2)|, p being the
            share of the diseased class).

    Returns:
        One score for each well (x), in logits.
    """
    inside = np.arange(units_xs.shape[-1]) < sizes_x[..., None]
    if how == "mean":
        means: NDArray[np.float64] = np.where(inside, units_xs, 0.0).sum(-1) / sizes_x
        return means
    if how == "weighted":
        return _weighted(np.where(inside, units_xs, 0.0))
    cut = (sizes_x - 1) // 2 if how == "median" else (TRIMMED * sizes_x).astype(int)
    ordered = np.sort(np.where(inside, units_xs, np.inf), axis=-1)
    slots = np.arange(units_xs.shape[-1])
    kept = (slots >= cut[..., None]) & (slots < (sizes_x - cut)[..., None])
    middle: NDArray[np.float64] = np.where(kept, ordered, 0.0).sum(-1)
    return middle / (sizes_x - 2 * cut)


def _weighted(units_xs: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.abs(np.tanh(units_xs / 2))
    total = weights.sum(-1)
    # Where every weight is 0 every score is 0.
    found: NDArray[np.float64] = (weights * units_xs).sum(-1)
    return found / np.where(total > 0, total, 1.0)
