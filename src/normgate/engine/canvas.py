"""Figures without a display, and without pyplot and its global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes


def grid(
    rows: int, columns: int, *, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of axes, each so many inches wide and high."""
    figure = Figure(
        figsize=(width * columns, height * rows), dpi=110, layout="constrained"
    )
    FigureCanvasAgg(figure)
    found = figure.subplots(rows, columns, squeeze=False)
    return figure, [list(row) for row in found]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
