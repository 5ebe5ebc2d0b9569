"""The figure that every replay has: a panel a figure, an arm a line, a dot a seed.

The good practice is drawn in purple and the incident itself in orange, as diseased and
healthy are elsewhere; the other arms in grey.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from normgate.engine.canvas import save
from normgate.plates.figures import ORANGE, PURPLE
from normgate.plates.heatmaps import INK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from normgate.incidents.port import Column
    from normgate.incidents.table import Table

_DPI = 130
_MOST_PANELS = 6
_GREY = "#777777"


def arms_figure(
    path: Path, title: str, table: Table, columns: Sequence[Column]
) -> Path:
    """Draw every arm and seed of a replay.

    Args:
        path: The PNG to write.
        title: Above the panels.
        table: The outcomes.
        columns: A panel each; at most six are drawn.
    """
    shown = list(columns)[:_MOST_PANELS]
    arms = table.arms[::-1]
    with mpl.rc_context({"font.size": 9.0, "text.color": INK}):
        figure = Figure(
            figsize=(2.2 + 1.75 * len(shown), 1.3 + 0.27 * len(arms)),
            dpi=_DPI,
            layout="constrained",
        )
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, column in zip(panels, shown, strict=True):
            _panel(axes, table, arms, column)
        panels[0].set_yticks(range(len(arms)), arms)
        panels[0].set_ylim(-0.6, len(arms) - 0.4)
        for label, arm in zip(panels[0].get_yticklabels(), arms, strict=True):
            label.set_color(_colour(arm))
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)
        save(figure, path)
    return path


def _panel(axes: Axes, table: Table, arms: Sequence[str], column: Column) -> None:
    for place, arm in enumerate(arms):
        values = [v for v in table.values(arm, column.metric) if math.isfinite(v)]
        colour = _colour(arm)
        axes.plot(
            values, np.full(len(values), place), "o", color=colour, alpha=0.55,
            markersize=4.5, markeredgewidth=0,
        )  # fmt: skip
        if values:
            mean = float(np.mean(values))
            axes.plot([mean] * 2, [place - 0.32, place + 0.32], color=colour, lw=1.8)
    arrow = {"higher": " →", "lower": " ←", "neither": ""}[column.better]
    axes.set_title(column.title + arrow, fontsize=8.5, loc="left")
    axes.grid(axis="both", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0, labelsize=8)
    axes.locator_params(axis="x", nbins=4)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _colour(arm: str) -> str:
    if arm.startswith("before"):
        return ORANGE
    return PURPLE if arm == "best" else INK if arm.startswith("after") else _GREY
