"""Hits: treatments that part from the diseased controls on two plates or more.

On each plate a treatment's robust z is the median of the diseased control wells minus
the treatment's mean, in robust standard deviations (1.4826 MAD) of those wells:
positive is towards healthy. Its p is that of a t of control wells - 1 degrees of
freedom, with the noise of both means in it; p become q by Benjamini and Hochberg over
the treatments of the plate. A hit has q of at most `FDR`, to the same side, on at least
`MIN_PLATES` plates; so a plate alone never makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from normgate.plates.statistics import MAD_SD

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores
    from normgate.plates.statistics import Controls

FDR = 0.05
MIN_PLATES = 2
MIN_CONTROLS = 4
"""Diseased control wells below which their spread is not known well enough."""


def plate_hits(
    scores: Scores, chosen: Controls, by_plate: pd.DataFrame
) -> pd.DataFrame:
    """Robust z, p and q of the treatments of one plate.

    Args:
        scores: The model's scores.
        chosen: The plate's controls.
        by_plate: The plate's treatments, with genotype, score and wells.

    Returns:
        `robust_z`, `p`, `q` and `hit_reason` (why there is none), row by row.
    """
    out = by_plate[[]].assign(
        robust_z=np.nan, p=np.nan, q=np.nan, hit_reason=""
    )  # fmt: skip
    values = scores.wells["score"].to_numpy(dtype=np.float64)[chosen.disease]
    reason = _undefined(values)
    if reason:
        return out.assign(hit_reason=reason)
    genotypes = set(scores.wells["genotype"].iloc[chosen.disease])
    own = by_plate["genotype"].isin(genotypes)
    named = ", ".join(sorted(map(str, genotypes)))
    other = f"hits are judged on the genotype of the diseased controls, {named}"
    out.loc[~own, "hit_reason"] = other
    if not own.any():
        return out
    rows = by_plate[own]
    z = (np.median(values) - rows["score"].to_numpy(dtype=np.float64)) / _sd(values)
    noise = np.sqrt(1 / rows["wells"].to_numpy(dtype=np.float64) + 1 / len(values))
    p = 2 * student.sf(np.abs(z) / noise, df=len(values) - 1)
    out.loc[own, "robust_z"] = z
    out.loc[own, "p"] = p
    out.loc[own, "q"] = false_discovery_control(p, method="bh")
    return out


def judged(group: pd.DataFrame) -> dict[str, Any]:
    """Judge one treatment by its plates.

    Args:
        group: Its rows of `plate_hits`.

    Returns:
        robust_z (the mean over plates), hit_plates, hit (`healthy`, `diseased`, `no`
        or empty where undefined), and why it is undefined.
    """
    known = group[group["q"].notna()]
    mean = float(known["robust_z"].mean()) if len(known) else float("nan")
    significant = known[known["q"] <= FDR]["robust_z"]
    sides = {"healthy": int((significant > 0).sum()),
             "diseased": int((significant < 0).sum())}  # fmt: skip
    side = max(sides, key=lambda name: sides[name])
    found = {"robust_z": mean, "hit_plates": sides[side], "hit": "", "hit_reason": ""}
    if len(known) < MIN_PLATES:
        reasons = sorted(set(group["hit_reason"]) - {""})
        text = f"judged on {len(known)} plate(s), expected at least {MIN_PLATES}"
        return found | {"hit_reason": "; ".join([text, *reasons])}
    return found | {"hit": side if sides[side] >= MIN_PLATES else "no"}


def _undefined(values: NDArray[np.float64]) -> str:
    if len(values) < MIN_CONTROLS:
        return (
            f"{len(values)} diseased control well(s), expected at least {MIN_CONTROLS}"
        )
    if not _sd(values) > 0:
        return "more than half of the diseased control wells have one score"
    return ""


def _sd(values: NDArray[np.float64]) -> float:
    return MAD_SD * float(np.median(np.abs(values - np.median(values))))
