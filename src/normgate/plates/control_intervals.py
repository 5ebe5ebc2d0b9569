"""Intervals of what tells a plate's controls apart: Z', robust Z', SSMD, AUROC.

Control wells are drawn with replacement, by their observed scores. Their units are not
drawn again, as they are for means: the spread between wells holds the noise of units
already, and would hold it twice. With few wells such intervals are too narrow, more so
than those of means (measured in docs/LOG.md), and are labelled.

Axes: b draws, n wells of one class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.plates.bootstrap import generator, interval
from normgate.plates.statistics import MAD_SD, NOMINAL, UNDER_COVERING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores
    from normgate.plates.statistics import Controls

MIN_WELLS = 32
"""Held-out control wells a class below which the intervals are labelled."""
_ENDS = ("low", "high")
NAMES = ("z_prime", "robust_z_prime", "ssmd", "auroc_wells")


def control_intervals(
    scores: Scores, chosen: Controls, draws: int, seed: int
) -> dict[str, float | str]:
    """The middle 95% of the draws of each statistic of a plate's controls.

    Returns:
        `<name>_low` and `<name>_high` for each of `NAMES`; NaN where a class has fewer
        than two wells, or too many draws have no spread. And `separation_interval`,
        whether they may be trusted.
    """
    values = scores.wells["score"].to_numpy(dtype=np.float64)
    classes = (values[chosen.disease], values[chosen.healthy])
    fewest = min(map(len, classes))
    trusted = chosen.held_out and fewest >= MIN_WELLS
    label = {"separation_interval": NOMINAL if trusted else UNDER_COVERING}
    if fewest < 2:
        nothing = {f"{name}_{end}": float("nan") for name in NAMES for end in _ENDS}
        return {**nothing, "separation_interval": ""}
    rng = generator(seed, scores.model, f"{chosen.plate}/separation")
    one, two = (own[rng.integers(0, len(own), (draws, len(own)))] for own in classes)
    found = dict(zip(NAMES, _statistics(one, two), strict=True))
    ends = {
        f"{name}_{end}": value
        for name, drawn in found.items()
        for end, value in zip(_ENDS, interval(drawn), strict=True)
    }
    return {**ends, **label}


def _statistics(
    one_bn: NDArray[np.float64], two_bn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    apart = one_bn.mean(axis=1) - two_bn.mean(axis=1)
    s1, s2 = one_bn.std(axis=1, ddof=1), two_bn.std(axis=1, ddof=1)
    middle = np.median(one_bn, axis=1) - np.median(two_bn, axis=1)
    r1, r2 = _robust_sd(one_bn), _robust_sd(two_bn)
    wins = np.sign(one_bn[:, :, None] - two_bn[:, None, :]).mean(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            np.where(s1 + s2 > 0, 1 - 3 * (s1 + s2) / np.abs(apart), np.nan),
            np.where(r1 + r2 > 0, 1 - 3 * (r1 + r2) / np.abs(middle), np.nan),
            apart / np.hypot(s1, s2),
            (wins + 1) / 2,
        )


def _robust_sd(values_bn: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = np.median(values_bn, axis=1, keepdims=True)
    spread: NDArray[np.float64] = np.median(np.abs(values_bn - middle), axis=1)
    return MAD_SD * spread
