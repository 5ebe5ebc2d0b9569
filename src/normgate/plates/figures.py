"""Figures of an analysis: plate heat maps, the treatment plot, control separation.

Colours are from diverging and qualitative maps that stay apart for colour-blind eyes:
orange is diseased, purple is healthy, everywhere.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from normgate.contract.files import write_atomic
from normgate.plates.aggregate import DISEASE, HEALTHY, TREATED
from normgate.plates.doses import dose_plot
from normgate.plates.heatmaps import INK, plate_map, residual_map
from normgate.plates.statistics import NOMINAL

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from normgate.plates.treatments import Analysis

ORANGE, PURPLE = "#b35806", "#542788"
_OF_ROLE = {DISEASE: ORANGE, HEALTHY: PURPLE}
_DPI = 150
_MOST_ROWS = 60
"""Treatments in one plot; of more, the highest two thirds and the lowest third."""
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def write_figures(analysis: Analysis, folder: Path) -> list[Path]:
    """Draw everything of one model.

    Args:
        analysis: One model's wells, plates and treatments.
        folder: Where the PNG files go; made if missing.

    Returns:
        The files: `plate-<name>.png` for each plate, `residual-<name>.png` where it was
        polished; `doses.png` where there are several doses; `controls.png` where there
        are control wells; `treatments.png` where any treatment has a rescue.
    """
    with mpl.rc_context(_STYLE):
        figures = {
            f"plate-{safe_name(str(plate['plate']))}": plate_map(analysis, plate)
            for _, plate in analysis.plates.iterrows()
        }
        figures |= {
            f"residual-{safe_name(str(plate['plate']))}": residual_map(analysis, plate)
            for _, plate in analysis.plates.iterrows()
            if not plate["polish_reason"]
        }
        doses = dose_plot(analysis)
        if doses is not None:
            figures["doses"] = doses
        if (analysis.wells["role"] != TREATED).any():
            figures["controls"] = control_separation(analysis)
        if analysis.treatments["rescue"].notna().any():
            figures["treatments"] = treatment_plot(analysis)
        return [
            _save(figure, folder / f"{name}.png") for name, figure in figures.items()
        ]


def safe_name(text: str) -> str:
    """A text as part of a file name: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed"


def treatment_plot(analysis: Analysis) -> Figure:
    """Treatments by falling rescue, with intervals and the spread of the controls."""
    table = analysis.treatments[analysis.treatments["rescue"].notna()]
    hidden = len(table) - _MOST_ROWS
    if hidden > 0:
        top = 2 * _MOST_ROWS // 3
        table = table.iloc[[*range(top), *range(top + hidden, len(table))]]
    groups = [(str(name), rows) for name, rows in table.groupby("genotype", sort=True)]
    roles = analysis.scores.roles
    groups.sort(key=lambda group: (group[0] != roles.disease, group[0]))
    sizes = [len(rows) for _, rows in groups]
    figure = Figure(
        figsize=(7.5, 1.9 + 0.22 * sum(sizes) + 0.35 * len(sizes)),
        layout="constrained",
    )
    panels = figure.subplots(
        len(sizes), 1, sharex=True, squeeze=False,
        height_ratios=[size + 1 for size in sizes],
    )[:, 0]  # fmt: skip
    for axes, (genotype, rows) in zip(panels, groups, strict=True):
        _treatment_panel(axes, rows, analysis)
        axes.set_title(f"on {genotype or 'unnamed'} wells", loc="left", color="#555555")
    last = panels[-1]
    last.set_xlabel(
        f"rescue (%): 0 = mean of {roles.disease} controls, "
        f"100 = mean of {roles.healthy} controls"
    )
    undefined = len(analysis.treatments) - len(table) - max(hidden, 0)
    figure.suptitle(
        f"{analysis.title}: treatments, {_plates_used(analysis)}",
        x=0.01,
        ha="left",
        fontsize=11.0,
    )
    notes = [f"{hidden} treatments in the middle not shown"] if hidden > 0 else []
    notes += [f"{undefined} treatments without a defined rescue"] if undefined else []
    keys = _treatment_keys(table, roles.disease, roles.healthy)
    keys += [Line2D([], [], linestyle="", label=note) for note in notes]
    figure.legend(
        handles=keys, loc="outside lower left", ncols=2, frameon=False, fontsize=8.0
    )
    return figure


def control_separation(analysis: Analysis) -> Figure:
    """Histograms of unit scores of the controls, and their wells, on each plate."""
    plates = analysis.plates
    columns = min(2, len(plates))
    rows = -(-len(plates) // columns)
    figure = Figure(figsize=(4.6 * columns, 0.7 + 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    units = analysis.scores.units
    low, high = np.percentile(units, [0.1, 99.9])
    bins = np.linspace(low, high if high > low else low + 1, 41).tolist()
    for axes, (_, plate) in zip(panels, plates.iterrows(), strict=False):
        _control_panel(axes, analysis, plate, bins)
    for axes in panels[len(plates) :]:
        axes.set_visible(False)
    roles = analysis.scores.roles
    figure.supxlabel(
        f"score: logit {roles.disease} - logit {roles.healthy}", fontsize=9.0
    )
    figure.supylabel("density of units", fontsize=9.0)
    figure.suptitle(f"{analysis.title}: controls", x=0.01, ha="left", fontsize=11.0)
    return figure


def _treatment_panel(axes: Axes, rows: pd.DataFrame, analysis: Analysis) -> None:
    places = np.arange(len(rows))[::-1]
    for role, center in ((DISEASE, 0.0), (HEALTHY, 100.0)):
        wells = analysis.wells[analysis.wells["role"] == role]
        spread = 100 * float(wells["rescue"].std(ddof=1))
        colour = _OF_ROLE[role]
        axes.axvline(center, color=colour, linewidth=1.0, zorder=1)
        if np.isfinite(spread):
            axes.axvspan(
                center - spread, center + spread, color=colour, alpha=0.13, linewidth=0
            )
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        trusted = row["interval"] == NOMINAL
        axes.plot(
            [100 * row["low"], 100 * row["high"]], [place, place], color=INK,
            linewidth=1.4, linestyle="-" if trusted else (0, (2, 1.5)), zorder=2,
        )  # fmt: skip
        axes.plot(
            [100 * row["rescue"]], [place], marker="o", markersize=5, color=INK,
            markerfacecolor=INK if trusted else "white", zorder=3,
        )  # fmt: skip
    axes.set_yticks(places, [str(name) or "(none)" for name in rows["treatment"]])
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _treatment_keys(table: pd.DataFrame, disease: str, healthy: str) -> list[Any]:
    keys: list[Any] = [
        Line2D([], [], color=INK, marker="o", markersize=5, label="mean, 95% interval"),
        Rectangle((0, 0), 1, 1, color=ORANGE, alpha=0.3,
                  label=f"{disease} control wells, mean and SD"),
        Rectangle((0, 0), 1, 1, color=PURPLE, alpha=0.3,
                  label=f"{healthy} control wells, mean and SD"),
    ]  # fmt: skip
    if (table["interval"] != NOMINAL).any():
        dashed = Line2D(
            [], [], color=INK, marker="o", markersize=5, markerfacecolor="white",
            linestyle=(0, (2, 1.5)), label="interval is under-covering: too few wells",
        )  # fmt: skip
        keys.insert(1, dashed)
    return keys


def _control_panel(
    axes: Axes, analysis: Analysis, plate: pd.Series[Any], bins: list[float]
) -> None:
    roles = analysis.scores.roles
    wells = analysis.wells[analysis.wells["plate"] == plate["plate"]]
    for role, name, place in (
        (DISEASE, roles.disease, -0.045),
        (HEALTHY, roles.healthy, -0.11),
    ):
        mine = wells[wells["role"] == role]
        if mine.empty:
            continue
        units = np.concatenate(
            [analysis.scores.units[analysis.scores.of_well(int(i))] for i in mine.index]
        )
        colour = _OF_ROLE[role]
        shown = np.clip(units, bins[0], bins[-1])
        axes.hist(shown, bins=bins, density=True, color=colour, alpha=0.35)
        axes.hist(shown, bins=bins, density=True, color=colour, histtype="step",
                  label=f"{name}: units, {len(mine)} wells below")  # fmt: skip
        axes.plot(
            mine["score"], np.full(len(mine), place), "|", color=colour, markersize=7,
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    axes.tick_params(axis="x", length=0, pad=19)
    if not wells["role"].isin(_OF_ROLE).any():
        axes.set_title(f"plate {plate['plate']}: no control wells", loc="left")
        return
    axes.legend(loc="upper left", frameon=False, fontsize=8.0, handlelength=1.2)
    axes.set_title(
        f"plate {plate['plate']}: AUROC {plate['auroc_wells']:.2f} of wells, "
        f"{plate['auroc_units']:.2f} of units\n"
        f"SSMD {plate['ssmd']:.2f}, Z' {plate['z_prime']:.2f}, "
        f"robust Z' {plate['robust_z_prime']:.2f}",
        loc="left", fontsize=8.5,
    )  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 1.25)


def _plates_used(analysis: Analysis) -> str:
    used, all_of = int(analysis.plates["rescue_defined"].sum()), len(analysis.plates)
    return (
        f"mean of {all_of} plates" if used == all_of else f"{used} of {all_of} plates"
    )


def _save(figure: Figure, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
    return path
