"""Trained under one recipe, deployed under another: every pair as a coloured cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from normgate.engine.canvas import save
from normgate.families.plate.arms import ARMS, CROSSED
from normgate.plates.heatmaps import INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from normgate.incidents.table import Table

_PANELS = (("auroc", "AUROC"), ("accuracy", "accuracy"))


def crossed_figure(path: Path, table: Table) -> Path:
    """Draw the matrix of AUROC and of accuracy, means over seeds."""
    figure = Figure(figsize=(10.2, 4.2), dpi=130, layout="constrained")
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (metric, title) in zip(panels, _PANELS, strict=True):
        _matrix(axes, table, metric)
        axes.set_title(f"{title} on held-out wells", loc="left", fontsize=9.5)
        axes.set_xlabel("deployed under", fontsize=9)
    panels[0].set_ylabel("trained under", fontsize=9)
    figure.suptitle(
        "rescue: the same model under another normalization", x=0.01, ha="left",
        fontsize=10.5,
    )  # fmt: skip
    save(figure, path)
    return path


def trained_under() -> dict[str, str]:
    """The arm that trains under each crossed recipe, and nothing else."""
    found: dict[str, str] = {}
    for arm in ARMS.values():
        plain = arm.pictures == "plain" and arm.fault == "none"
        if plain and not arm.trained_as and arm.recipe in CROSSED:
            found[arm.recipe] = arm.name
    return found


def _matrix(axes: Axes, table: Table, metric: str) -> None:
    arms = trained_under()
    values = [
        [table.spread(arms[row], f"on.{column}.{metric}").mean for column in CROSSED]
        for row in CROSSED
    ]
    axes.imshow(values, cmap="PuOr", vmin=0.2, vmax=0.8, aspect="auto")
    names = [recipe.replace("_", "\n") for recipe in CROSSED]
    axes.set_xticks(range(len(CROSSED)), names, fontsize=8)
    axes.set_yticks(range(len(CROSSED)), names, fontsize=8)
    axes.tick_params(length=0)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            text = "-" if math.isnan(value) else f"{value:.2f}"
            strong = math.isfinite(value) and abs(value - 0.5) > 0.14
            axes.text(
                x, y, text, ha="center", va="center", fontsize=8.5,
                color="white" if strong else INK,
            )  # fmt: skip
