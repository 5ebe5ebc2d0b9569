"""A treatment over its plates: mean rescue, interval, concordance, whether a hit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from normgate.plates.bootstrap import interval
from normgate.plates.hits import judged
from normgate.plates.statistics import NOMINAL, UNDER_COVERING

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = ["genotype", "treatment"]


def over_plates(
    by_plate: pd.DataFrame, draws: list[NDArray[np.float64]]
) -> pd.DataFrame:
    """Bring the plates of each treatment together.

    Args:
        by_plate: One row for each plate and treatment.
        draws: The bootstrap draws of its rescue, row by row; empty where undefined.

    Returns:
        One row a treatment, by falling rescue; undefined ones last.
    """
    rows = [
        _treatment(group, [draws[index] for index in group.index])
        for _, group in by_plate.groupby(GROUP, sort=True)
    ]
    columns = (
        "model", "genotype", "treatment", "rescue", "low", "high", "interval",
        "plates", "defined_plates", "concordance", "wells", "units",
        "healthy_like", "robust_z",
        "hit_plates", "hit", "hit_reason", "reason",
    )  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(
        ["rescue", *GROUP], ascending=[False, True, True], kind="stable"
    ).reset_index(drop=True)


def _treatment(group: pd.DataFrame, draws: list[NDArray[np.float64]]) -> dict[str, Any]:
    """One treatment over its plates.

    Concordance is the share of plates whose own interval lies wholly on the side of
    zero on which the mean lies.
    """
    defined = group[group["rescue"].notna()]
    known = [drawn for drawn in draws if len(drawn)]
    mean = float(defined["rescue"].mean()) if len(defined) else float("nan")
    edge = defined["low"] if mean > 0 else -defined["high"]
    first = group.iloc[0]
    trusted = bool(len(defined)) and (defined["interval"] == NOMINAL).all()
    missing = group[group["rescue"].isna()]
    low, high = interval(np.mean(known, axis=0) if known else np.empty(0))
    return {
        **{name: first[name] for name in ("model", *GROUP)},
        "rescue": mean,
        "low": low,
        "high": high,
        "interval": NOMINAL if trusted else (UNDER_COVERING if len(defined) else ""),
        "plates": len(group),
        "defined_plates": len(defined),
        "concordance": float((edge > 0).mean()) if len(defined) else float("nan"),
        "wells": int(defined["wells"].sum()),
        "units": int(defined["units"].sum()),
        "healthy_like": float(group["healthy_like"].mean()),
        **judged(group),
        "reason": "; ".join(
            f"plate {row['plate']}: {row['reason']}"
            for row in missing.to_dict("records")
        ),
    }
