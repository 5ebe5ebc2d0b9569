"""Heat maps of a plate: percent rescue, or scores where it has none, and residuals.

Orange is diseased and purple healthy, pale between; controls are outlined.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from normgate.plates.aggregate import DISEASE, HEALTHY, TREATED
from normgate.plates.wells import Well

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from numpy.typing import NDArray

    from normgate.plates.treatments import Analysis

INK, PALE = "#222222", "#e8e8e8"
_RANGE = (-50.0, 150.0)
"""Percent rescue at the ends of the colour scale; beyond, the end colour."""


def plate_map(analysis: Analysis, plate: pd.Series[Any]) -> Figure:
    """The wells of a plate: percent rescue, or scores where rescue is undefined."""
    wells = analysis.wells[analysis.wells["plate"] == plate["plate"]]
    defined = bool(plate["rescue_defined"])
    values = wells["rescue"] * 100 if defined else wells["score"]
    figure, bar = _map(
        analysis, plate, values, lambda room: _note(analysis, plate, room),
        limits=_RANGE if defined else _around(values.to_numpy(), 0.0),
        colours="PuOr" if defined else "PuOr_r",
    )  # fmt: skip
    figure.axes[0].set_title(f"{analysis.title}, plate {plate['plate']}", loc="left")
    roles = analysis.scores.roles
    if defined:
        bar.set_label("rescue (%)")
        bar.set_ticks(
            [-50, 0, 50, 100, 150],
            labels=["\u2264 -50", "0", "50", "100", "\u2265 150"],
        )
    else:
        bar.set_label(f"logit {roles.disease} - logit {roles.healthy}")
    _add_keys(figure, _control_keys(analysis, plate))
    return figure


def residual_map(analysis: Analysis, plate: pd.Series[Any]) -> Figure:
    """What treated wells keep after median polish of rows and columns."""
    wells = analysis.wells[analysis.wells["plate"] == plate["plate"]]
    values = wells["residual"]
    text = (
        "Scores of treated wells after the effects of their rows and columns; controls "
        "are left out, for they fill whole columns"
    )
    figure, bar = _map(
        analysis, plate, values, lambda room: textwrap.fill(text, room),
        limits=_around(values.to_numpy(), 0.0), colours="PuOr_r",
    )  # fmt: skip
    title = f"{analysis.title}, plate {plate['plate']}: residual"
    figure.axes[0].set_title(title, loc="left")
    bar.set_label("residual (logit)")
    _add_keys(figure, _control_keys(analysis, plate))
    return figure


def _map(
    analysis: Analysis,
    plate: pd.Series[Any],
    values: pd.Series[float],
    note: Callable[[int], str],
    *,
    limits: tuple[float, float],
    colours: str,
) -> tuple[Figure, Colorbar]:
    """Wells in their places by colour, with controls outlined and a note below."""
    wells = analysis.wells[analysis.wells["plate"] == plate["plate"]]
    rows, columns = int(wells["row"].max()), int(wells["column"].max())
    grid = np.full((rows, columns), np.nan)
    grid[wells["row"] - 1, wells["column"] - 1] = values
    width = max(6.0, 1.7 + 0.33 * columns)
    # The text begins at the first column, and few columns stand far from the left.
    text = note(int(width * (15 if columns >= 12 else 8)))
    height = 1.2 + 0.33 * rows + 0.14 * text.count("\n")
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(PALE)
    image = axes.imshow(
        np.ma.masked_invalid(grid), cmap=colours, vmin=limits[0], vmax=limits[1],
        aspect="equal",
    )  # fmt: skip
    _label_wells(axes, rows, columns)
    _outline_controls(axes, wells)
    bar = figure.colorbar(
        image, cax=axes.inset_axes((1 + 0.5 / columns, 0.0, 0.6 / columns, 1.0))
    )
    bar.outline.set_visible(False)
    axes.set_xlabel(text, loc="left", fontsize=8.0)
    return figure, bar


def _note(analysis: Analysis, plate: pd.Series[Any], room: int) -> str:
    """What 0% and 100% are, or why there is no rescue; lines of `room` letters."""
    roles = analysis.scores.roles
    if not plate["rescue_defined"]:
        return textwrap.fill(f"Rescue is undefined: {plate['reason']}.", room)
    scale = (
        f"0% is the mean of {roles.disease} controls, 100% of {roles.healthy} controls"
    )
    return textwrap.fill("; ".join(filter(None, [scale, str(plate["note"])])), room)


def _label_wells(axes: Axes, rows: int, columns: int) -> None:
    axes.set_xticks(range(columns), [str(column + 1) for column in range(columns)])
    axes.set_yticks(range(rows), [Well(row + 1, 1).letters for row in range(rows)])
    size = 8.0 if columns <= 24 else 6.0
    axes.tick_params(length=0, labelsize=size, top=True, labeltop=True,
                     bottom=False, labelbottom=False)  # fmt: skip
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _outline_controls(axes: Axes, wells: pd.DataFrame) -> None:
    """Solid for disease, dotted for healthy; a white line below shows on dark wells."""
    for row in wells[wells["role"] != TREATED].to_dict("records"):
        style = "-" if row["role"] == DISEASE else (0, (1.2, 1.0))
        for colour, width, line in (("white", 2.4, "-"), (INK, 1.1, style)):
            axes.add_patch(
                Rectangle(
                    (row["column"] - 1.4, row["row"] - 1.4), 0.8, 0.8, fill=False,
                    edgecolor=colour, linewidth=width, linestyle=line,
                )
            )  # fmt: skip


def _control_keys(analysis: Analysis, plate: pd.Series[Any]) -> list[Any]:
    roles = analysis.scores.roles
    known = set(analysis.wells["role"][analysis.wells["plate"] == plate["plate"]])
    return [
        Rectangle((0, 0), 1, 1, fill=False, edgecolor=INK, linewidth=1.1,
                  linestyle=style, label=f"{name} control")
        for role, name, style in (
            (DISEASE, roles.disease, "-"),
            (HEALTHY, roles.healthy, (0, (1.2, 1.0))),
        )
        if role in known
    ]  # fmt: skip


def _add_keys(figure: Figure, keys: list[Any]) -> None:
    if keys:
        figure.legend(handles=keys, loc="outside lower left", ncols=2, frameon=False,
                      fontsize=8.0, handlelength=1.2, handleheight=1.2)  # fmt: skip


def _around(values: NDArray[np.float64], center: float) -> tuple[float, float]:
    """A range that lies evenly around a center."""
    reach = float(np.nanmax(np.abs(values - center))) or 1.0
    return center - reach, center + reach
