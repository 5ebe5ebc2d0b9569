"""Doses, read from the names of treatments: `drug 10 uM`, `drug_0.5uM`, `drug@3nM`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from normgate.plates.heatmaps import INK
from normgate.plates.statistics import NOMINAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from normgate.plates.treatments import Analysis

_DOSE = re.compile(
    r"(?P<drug>.+?)[ _@-]+(?P<dose>\d+(?:\.\d+)?)\s*"
    r"(?P<unit>pM|nM|uM|\u00b5M|\u03bcM|mM|M|ng/mL|ug/mL|mg/mL)",
    re.IGNORECASE,
)
_SCALE = {
    "pm": ("M", 1e-12), "nm": ("M", 1e-9), "um": ("M", 1e-6), "mm": ("M", 1e-3),
    "m": ("M", 1.0), "ng/ml": ("g/L", 1e-6), "ug/ml": ("g/L", 1e-3),
    "mg/ml": ("g/L", 1.0),
}  # fmt: skip
MIN_DOSES = 3
"""Doses of one drug that make a response."""


def with_doses(treatments: pd.DataFrame) -> pd.DataFrame:
    """Treatments of drugs that were given in several doses.

    Args:
        treatments: One row a treatment, with genotype, treatment and rescue.

    Returns:
        Their rows with drug, dose and unit (M or g/L), by drug and rising dose.
    """
    rows = []
    for row in treatments.to_dict("records"):
        found = _DOSE.fullmatch(str(row["treatment"]).strip())
        if found is None:
            continue
        unit = found["unit"].lower().replace("\u00b5", "u").replace("\u03bc", "u")
        name, scale = _SCALE[unit]
        dose = float(found["dose"]) * scale
        if dose > 0:
            rows.append({**row, "drug": found["drug"], "dose": dose, "unit": name})
    if not rows:
        return pd.DataFrame(columns=[*treatments.columns, "drug", "dose", "unit"])
    found_rows = pd.DataFrame(rows)
    keys = ["genotype", "drug", "unit"]
    counts = found_rows.groupby(keys)["dose"].transform("nunique")
    return (
        found_rows[counts >= MIN_DOSES]
        .sort_values([*keys, "dose"], kind="stable")
        .reset_index(drop=True)
    )


def dose_plot(analysis: Analysis) -> Figure | None:
    """Rescue by dose, a panel for each drug and genotype; no curve is fitted.

    Returns:
        The figure; None where no drug has a defined rescue at enough doses.
    """
    table = with_doses(analysis.treatments[analysis.treatments["rescue"].notna()])
    groups = list(table.groupby(["genotype", "drug", "unit"], sort=True))
    if not groups:
        return None
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(3.2 * columns, 0.6 + 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, ((genotype, drug, unit), own) in zip(panels, groups, strict=False):
        _panel(axes, own)
        axes.set_title(f"{drug} on {genotype}", loc="left", fontsize=9.0)
        axes.set_xlabel(f"dose ({unit})", fontsize=8.0)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    figure.supylabel("rescue (%)", fontsize=9.0)
    figure.suptitle(f"{analysis.title}: dose response", x=0.01, ha="left", fontsize=11)
    return figure


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    dose, rescue = own["dose"].to_numpy(), 100 * own["rescue"].to_numpy()
    axes.plot(dose, rescue, color=INK, linewidth=0.8, alpha=0.5)
    trusted = (own["interval"] == NOMINAL).to_numpy()
    reach = 100 * own[["low", "high"]].to_numpy() - rescue[:, None]
    for at in range(len(own)):
        axes.errorbar(
            dose[at], rescue[at], yerr=np.abs(reach[at])[:, None], fmt="o", color=INK,
            markersize=4.5, linewidth=1.2, markerfacecolor=INK if trusted[at] else "w",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.axhline(0, color="#b35806", linewidth=0.9)
    axes.axhline(100, color="#542788", linewidth=0.9)
