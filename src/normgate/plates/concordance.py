"""Do repeats agree? Plates with plates, and replicates of the model with each other.

Plates are compared by the rank correlation of their treatments' scores, with intervals
by drawing treatments with replacement; replicates by the correlation of their wells'
scores, with Fisher's intervals, as wells are many.

Axes: b draws, n treatments or wells, 2 of a pair.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from normgate.plates.bootstrap import generator, interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores

MIN_SHARED = 5
"""Treatments, or wells, in common below which nothing is said."""
_NORMAL = 1.959963984540054
"""97.5% of a standard normal lie below."""
COLUMNS = ("model", "kind", "one", "other", "shared", "r", "low", "high", "reason")


def concordance(
    scores: Scores, by_plate: pd.DataFrame, draws: int, seed: int
) -> pd.DataFrame:
    """Agreement of each two plates and each two replicates.

    Args:
        scores: The model's scores.
        by_plate: One row for each plate and treatment, with its score.
        draws: Draws behind each interval.
        seed: Every draw follows from it.

    Returns:
        One row a pair (`COLUMNS`); r is Spearman's for plates, Pearson's for
        replicates, and NaN with a reason where it is undefined.
    """
    tables = {
        "plates": by_plate.set_index(["genotype", "treatment", "plate"])["score"]
        .unstack()
        .astype(np.float64),
        "replicates": replicate_scores(scores),
    }
    rows = []
    for kind, table in tables.items():
        if table.shape[1] < 2:
            reason = f"there is one of the {kind}; two can be compared"
            rows.append(_row(scores, kind, "", "", 0) | {"reason": reason})
        for one, other in combinations(table.columns, 2):
            pair = table[[one, other]].dropna().to_numpy(dtype=np.float64)
            row = _row(scores, kind, str(one), str(other), len(pair))
            rng = generator(seed, scores.model, f"concordance/{one}/{other}")
            if len(pair) < MIN_SHARED:
                text = f"{len(pair)} in common, expected at least {MIN_SHARED}"
                row["reason"] = text
            elif (np.ptp(pair, axis=0) == 0).any():
                row["reason"] = "one of them has the same score everywhere"
            elif kind == "plates":
                row |= _of_plates(pair, draws, rng)
            else:
                row |= _of_replicates(pair)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def replicate_scores(scores: Scores) -> pd.DataFrame:
    """Mean score of each well by each replicate; NaN where one saw the well."""
    first, sizes = scores.starts[:-1], np.diff(scores.starts)
    used = ~np.isnan(scores.scores_ur)
    sums = np.add.reduceat(np.nan_to_num(scores.scores_ur), first, axis=0)
    counts = np.add.reduceat(used.astype(np.int64), first, axis=0)
    whole = counts == sizes[:, None]
    means = np.where(whole, sums / np.maximum(counts, 1), np.nan)
    return pd.DataFrame(means, columns=list(scores.replicates))


def seed_share(scores: Scores) -> float:
    """SD between replicates of a well's score, as a share of that between wells.

    NaN of one replicate, or where no well was scored by two.
    """
    table = replicate_scores(scores)
    seen = table[table.notna().sum(axis=1) > 1]
    between = float(np.std(scores.wells["score"].to_numpy(dtype=np.float64)))
    if seen.empty or not between > 0:
        return float("nan")
    # Replicates differ by a constant too, which no comparison of wells sees.
    centred = seen - seen.mean()
    return float(np.sqrt(centred.var(axis=1, ddof=1).mean())) / between


def _row(scores: Scores, kind: str, one: str, other: str, count: int) -> dict[str, Any]:
    return {
        "model": scores.model, "kind": kind, "one": one, "other": other,
        "shared": count, "r": np.nan, "low": np.nan, "high": np.nan, "reason": "",
    }  # fmt: skip


def _of_plates(
    pair_n2: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    drawn_bn2 = pair_n2[rng.integers(0, len(pair_n2), (draws, len(pair_n2)))]
    low, high = interval(_correlations(rankdata(drawn_bn2, axis=1)))
    found = float(_correlations(rankdata(pair_n2, axis=0)[None])[0])
    return {"r": found, "low": low, "high": high}


def _of_replicates(pair_n2: NDArray[np.float64]) -> dict[str, Any]:
    """Pearson's r, and atanh(r) -+ 1.96 / sqrt(n - 3) (Fisher 1921)."""
    found = float(_correlations(pair_n2[None])[0])
    if not abs(found) < 1:
        return {"r": found, "low": found, "high": found}
    reach = _NORMAL / np.sqrt(len(pair_n2) - 3)
    low, high = np.tanh(np.arctanh(found) + np.array([-reach, reach]))
    return {"r": found, "low": float(low), "high": float(high)}


def _correlations(values_bn2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r of each draw; NaN where one of a pair does not vary."""
    centred = values_bn2 - values_bn2.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = centred.prod(axis=2).sum(axis=1) / scale
    return found
