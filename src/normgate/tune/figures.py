"""Pictures of a study: front, importances, slices, parallel coordinates.

Each function writes one PNG. Colours tell desirability, from the palette that stays
apart for colour-blind eyes; the preset's trial is a ring.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from normgate.tune.analysis import front
from normgate.tune.goal import desirability
from normgate.tune.scales import Scale, scales_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from normgate.tune.analysis import Row
    from normgate.tune.goal import Goal
    from normgate.tune.space import Space

_GREY, _RING = "#bbbbbb", "#b35806"
_COLOURS = colormaps["viridis"]
_FRONT_LABEL = "Pareto front"


def write_figures(
    folder: Path,
    rows: Sequence[Row],
    space: Space,
    goal: Goal,
    importances: Mapping[str, Mapping[str, float]],
) -> list[Path]:
    """Draw what there is to draw of a study.

    Args:
        folder: Where the PNG files go; made if missing.
        rows: Its trials.
        space: What it searched.
        goal: What judged.
        importances: Of each weight, for each objective.

    Returns:
        The files; none before the first trial is finished.
    """
    done = [row for row in rows if row.kept is not None]
    if not done:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []

    def draw(name: str, figure: Figure) -> None:
        path = folder / f"{name}.png"
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=140)
        drawn.append(path)

    draw("slices", _slices(done, space, goal))
    draw("parallel_coordinates", _parallel(done, space, goal))
    if len(goal.objectives) > 1:
        draw("pareto_front", _fronts(done, space, goal))
    if importances:
        draw("importances", _importances(importances))
    return drawn


def _fronts(rows: Sequence[Row], space: Space, goal: Goal) -> Figure:
    pairs = list(combinations(goal.objectives, 2))
    size = (max(4.4 * len(pairs), 6.2), 4.0)
    figure = Figure(figsize=size, layout="constrained")
    best = set(front(rows, goal.objectives))
    for place, (one, other) in enumerate(pairs, start=1):
        axes = figure.add_subplot(1, len(pairs), place)
        for row in rows:
            x, y = _metric(row, one.name), _metric(row, other.name)
            on_front = row.slot in best
            colour = _GREY if not row.feasible else "#542788" if on_front else "#9ebcda"
            axes.scatter(x, y, color=colour, s=34 if on_front else 20, zorder=2)
            if on_front:
                axes.annotate(
                    str(row.slot), (x, y), (4, 3), textcoords="offset points", size=8
                )
            _ring(axes, row, space, x, y)
        axes.set_xlabel(_axis(one.name, larger=one.larger_is_better))
        axes.set_ylabel(_axis(other.name, larger=other.larger_is_better))
    figure.suptitle(
        f"{_FRONT_LABEL} in purple by trial number; grey: red vitals; ring: preset",
        size=10,
    )
    return figure


def _slices(rows: Sequence[Row], space: Space, goal: Goal) -> Figure:
    across, down = len(space.names), len(goal.objectives)
    size = (max(2.9 * across, 5.5) + 0.8, 2.4 * down + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    paint = _painter(rows, goal)
    for line, objective in enumerate(goal.objectives):
        for column, scale in enumerate(scales_of(space)):
            axes = figure.add_subplot(down, across, line * across + column + 1)
            for row in rows:
                x, y = scale.at(row.params[scale.name]), _metric(row, objective.name)
                axes.scatter(x, y, color=paint(row), s=22, zorder=2)
                _ring(axes, row, space, x, y)
            if scale.log:
                axes.set_xscale("log")
            if scale.words:
                axes.set_xticks(range(len(scale.words)), scale.words, size=8)
            axes.set_xlim(*scale.margins)
            if line == down - 1:
                axes.set_xlabel(scale.name)
            if column == 0:
                axes.set_ylabel(
                    _axis(objective.name, larger=objective.larger_is_better)
                )
    figure.suptitle(
        "each trial; yellow is most desirable, grey has red vitals; ring: preset",
        size=10,
    )
    return figure


def _parallel(rows: Sequence[Row], space: Space, goal: Goal) -> Figure:
    scales = scales_of(space)
    for objective in goal.objectives:
        values = [_metric(row, objective.name) for row in rows]
        scales.append(Scale(objective.name, *_ends(min(values), max(values))))
    names = [scale.name for scale in scales]
    figure = Figure(figsize=(1.7 * len(names) + 1.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    paint = _painter(rows, goal)
    for row in sorted(rows, key=lambda row: _merit(row, goal)):
        raw = [row.params[name] for name in space.names]
        raw += [_metric(row, one.name) for one in goal.objectives]
        pairs = zip(scales, raw, strict=True)
        heights = [scale.share(value) for scale, value in pairs]
        axes.plot(heights, color=paint(row), lw=1.4, alpha=0.85)
    for at, scale in enumerate(scales):
        axes.axvline(at, color="#888888", lw=0.8, zorder=0)
        low, high = (
            (scale.words[0], scale.words[-1])
            if scale.words
            else (f"{scale.low:.3g}", f"{scale.high:.3g}")
        )
        axes.text(at, -0.03, low, ha="center", va="top", size=8)
        axes.text(at, 1.03, high, ha="center", va="bottom", size=8)
        for word in scale.words[1:-1]:
            axes.text(at + 0.04, scale.share(word), word, va="center", size=8)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", pad=14, length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.35, len(names) - 0.65)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.suptitle("each trial is a line; yellow is most desirable", size=10)
    return figure


def _importances(importances: Mapping[str, Mapping[str, float]]) -> Figure:
    count = len(importances)
    figure = Figure(figsize=(3.8 * count + 0.6, 2.8), layout="constrained")
    for place, (objective, found) in enumerate(importances.items(), start=1):
        axes = figure.add_subplot(1, count, place)
        names = sorted(found)
        axes.barh(names, [found[name] for name in names], color="#542788", height=0.6)
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_title(objective, size=10)
        axes.set_xlabel("importance (PED-ANOVA)")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure


def _painter(rows: Sequence[Row], goal: Goal) -> Callable[[Row], str | tuple]:  # type: ignore[type-arg]
    merits = [_merit(row, goal) for row in rows]
    low, high = min(merits), max(merits)

    def paint(row: Row) -> str | tuple:  # type: ignore[type-arg]
        if not row.feasible:
            return _GREY
        share = (_merit(row, goal) - low) / (high - low) if high > low else 0.5
        return _COLOURS(0.1 + 0.85 * share)

    return paint


def _merit(row: Row, goal: Goal) -> float:
    return desirability(goal.objectives, row.kept.metrics) if row.kept else 0.0


def _ring(axes: Axes, row: Row, space: Space, x: float, y: float) -> None:
    if row.params == space.first:
        axes.scatter(x, y, s=120, facecolors="none", edgecolors=_RING, lw=1.5, zorder=3)


def _metric(row: Row, name: str) -> float:
    return row.kept.metrics[name] if row.kept else float("nan")


def _axis(name: str, *, larger: bool) -> str:
    return f"{name} ({'more' if larger else 'less'} is better)"


def _ends(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)
