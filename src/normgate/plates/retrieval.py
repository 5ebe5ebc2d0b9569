"""Do wells of one treatment resemble each other more than controls?

A well's profile is the spread of its units' scores (deciles and mean), put on the scale
of the diseased controls of its plate. Average precision asks how high wells of the same
treatment on other plates rank among the diseased controls; copairs gives it and its p
by permutation (Kalinin et al. 2025). A unit has one score, so profiles differ in size
and hardly in direction: they are compared by Euclidean distance.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from normgate.plates.aggregate import DISEASE, TREATED
from normgate.plates.statistics import MAD_SD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores

COLUMNS = ("model", "genotype", "treatment", "map", "p", "q")
NULL_SIZE = 10_000
_DECILES = np.linspace(0.1, 0.9, 9)


def retrieval(scores: Scores, seed: int) -> tuple[pd.DataFrame, str]:
    """The mean average precision of each treatment on the diseased genotype.

    Returns:
        One row a treatment (`COLUMNS`), and why there is none; empty where there is.
    """
    none = pd.DataFrame(columns=list(COLUMNS))
    try:
        from copairs.map import average_precision, mean_average_precision
    except ImportError:
        return none, "copairs is not installed; pip install 'normgate[copairs]'"
    meta, profiles, reason = _profiles(scores)
    if reason:
        return none, reason
    with warnings.catch_warnings():
        # copairs logs its progress, and warns of deprecated pandas calls of its own.
        warnings.simplefilter("ignore")
        found = average_precision(
            meta, profiles, pos_sameby=["compound"], pos_diffby=["plate"],
            neg_sameby=["plate"], neg_diffby=["control"], distance="euclidean",
            progress_bar=False,
        )  # fmt: skip
        table = mean_average_precision(
            found[~found["control"]], sameby=["compound"], null_size=NULL_SIZE,
            threshold=0.05, seed=seed, progress_bar=False,
        )  # fmt: skip
    keys = meta.drop_duplicates("compound").set_index("compound")
    rows = [
        {
            "model": scores.model,
            "genotype": keys.loc[row["compound"], "genotype"],
            "treatment": keys.loc[row["compound"], "treatment"],
            "map": float(row["mean_average_precision"]),
            "p": float(row["p_value"]),
            "q": float(row["corrected_p_value"]),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)), ""


def _profiles(scores: Scores) -> tuple[pd.DataFrame, NDArray[np.float64], str]:
    """Wells of the diseased genotype, and their profiles on the controls' scale."""
    wells = scores.wells
    empty = np.empty((0, len(_DECILES) + 1))
    genotypes = set(wells["genotype"][wells["role"] == DISEASE])
    mine = wells["genotype"].isin(genotypes) & wells["role"].isin((DISEASE, TREATED))
    meta = wells[mine].copy()
    if meta["plate"].nunique() < 2:
        return meta, empty, "the diseased genotype is on one plate; two are compared"
    rows = [scores.units[scores.of_well(int(at))] for at in meta.index]
    raw = np.array([[*np.quantile(own, _DECILES), own.mean()] for own in rows])
    control = (meta["role"] == DISEASE).to_numpy()
    profiles = np.full(raw.shape, np.nan)
    for plate in meta["plate"].unique():
        here = (meta["plate"] == plate).to_numpy()
        known = raw[here & control]
        if len(known) < 2:
            return meta, empty, f"plate {plate} has {len(known)} diseased controls"
        middle = np.median(known, axis=0)
        spread = MAD_SD * np.median(np.abs(known - middle), axis=0)
        if not (spread > 0).all():
            return meta, empty, f"the diseased controls of plate {plate} have no spread"
        profiles[here] = (raw[here] - middle) / spread
    names = meta["genotype"].astype(str) + "\0" + meta["treatment"].astype(str)
    meta = meta.assign(
        control=control, compound=np.where(control, "\0control", names)
    ).reset_index(drop=True)
    return meta, profiles, ""
