"""A picture of what a spec does to real intensities: by channel, before and after."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from normgate.contract import describe_channel, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normgate.contract import Channel
    from normgate.transform.distribution import Distribution

ACROSS = 3
"""Channels side by side."""
BINS, FEW = 200, 512
_RAW, _AFTER, _BOUND = "#2b6cb0", "#2f855a", "#c53030"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """One channel's intensities."""

    name: str
    channel: Channel | None
    """None where there is no spec."""
    before: Distribution
    after: Distribution | None
    """None without a spec, or where it can't be applied."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where the channel's steps clip."""
        steps = self.channel.steps if self.channel else ()
        return tuple(
            float(bound)
            for step in steps
            if step.kind == "clip"
            for bound in (step.low, step.high)
        )


def draw_views(views: Sequence[ChannelView], path: Path) -> None:
    """Draw each channel's raw and normalized intensities, as a PNG."""
    columns = max(min(ACROSS, len(views)), 1)
    rows = max(-(-len(views) // columns), 1)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(4.2 * columns, 5.4 * rows), layout="constrained")
        axes = figure.subplots(2 * rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for number, view in enumerate(views):
            row, column = divmod(number, columns)
            _before(axes[2 * row, column], view)
            _after(axes[2 * row + 1, column], view)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _before(axis: Axes, view: ChannelView) -> None:
    _histogram(axis, view.before, _RAW)
    for bound in view.bounds:
        axis.axvline(bound, color=_BOUND, linewidth=1)
    clips = " and ".join(f"{bound:g}" for bound in view.bounds)
    axis.set_title(f"{view.name}: raw")
    axis.set_xlabel(f"counts; red: {clips}" if clips else "counts")


def _after(axis: Axes, view: ChannelView) -> None:
    if view.channel is None or view.after is None:
        return
    _histogram(axis, view.after, _AFTER)
    words = describe_channel(view.channel).partition(": ")[2]
    axis.set_title(f"{view.name}: normalized")
    axis.set_xlabel(
        "\n".join(words.split(", ")[-2:])
        + f"\nmean {view.after.mean:.3g}, std {view.after.std:.3g}"
    )


def _histogram(axis: Axes, found: Distribution, colour: str) -> None:
    axis.set_axis_on()
    bins = _bins(found.values)
    # One outline, for hundreds of bars in dozens of axes take twice as long to draw.
    axis.hist(
        found.values,
        bins=bins,
        weights=found.counts,
        log=True,
        color=colour,
        histtype="stepfilled",
    )
    axis.set_ylabel("pixels")
    if found.low == found.high:
        said = f"every pixel is {found.low:.4g}"
        axis.text(0.5, 0.5, said, transform=axis.transAxes, ha="center")


def _bins(values: NDArray[Any]) -> list[float] | int:
    """A bin a value where there are few, since other widths would show false combs."""
    distinct = np.unique(values).astype(np.float64)
    if not 1 < len(distinct) <= FEW:
        return BINS
    between = (distinct[1:] + distinct[:-1]) / 2
    first, last = distinct[1] - distinct[0], distinct[-1] - distinct[-2]
    edges = [distinct[0] - first / 2, *between, distinct[-1] + last / 2]
    return [float(edge) for edge in edges]
