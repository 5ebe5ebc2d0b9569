"""A picture of every channel before and after a spec, and of the panels' orders.

Channels stand side by side, so many in a strip as a page is wide; a strip has a panel
for raw values on a log axis, one for normalized ones, and one for the places at which
files list the channels.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from normgate.contract import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from normgate.acquisitions.diagnosis import ChannelDiagnosis, Diagnosis

PER_STRIP = 64
MOST_ORDERS = 12
"""Orders that are drawn, the most frequent; the text tells of all."""
_MEAN, _STD = "#2b6cb0", "#2f855a"
_GROUNDS = {"dead": "#fc8181", "sparse": "#f6e05e"}


def draw_diagnosis(found: Diagnosis, path: Path) -> None:
    """Draw all channels, as a PNG."""
    count = len(found.channels)
    strips = -(-count // PER_STRIP)
    across = min(count, PER_STRIP)
    orders = min(len(found.orders), MOST_ORDERS)
    heights = [2.2, *([1.8] if found.after else []), 0.5 + 0.16 * orders]
    size = (max(5.5, 1.6 + 0.155 * across), 0.5 + strips * (sum(heights) + 0.9))
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=size, layout="constrained")
        parts = figure.subfigures(strips, 1, squeeze=False)[:, 0]
        for number, part in enumerate(parts):
            first = number * PER_STRIP
            _strip(part, found, range(first, min(first + PER_STRIP, count)), heights)
        title = textwrap.fill(_title(found), int(14 * size[0]))
        figure.suptitle(title, fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _title(found: Diagnosis) -> str:
    marked = [f"{len(found.marked(mark))} {mark}" for mark in _GROUNDS]
    ratios = " before, ".join(f"{ratio:,.4g}" for ratio in found.ratios)
    return (
        f"{len(found.channels)} channels: {', '.join(marked)}; ratio of widest to "
        f"narrowest {ratios} {'after' if found.after else 'before'}; files list them "
        f"in {len(found.orders)} order(s)"
    )


def _strip(
    part: SubFigure, found: Diagnosis, span: range, heights: Sequence[float]
) -> None:
    axes = part.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    own = [found.channels[at] for at in span]
    for axis in axes[:-1]:
        _grounds(axis, own, span)
    _before(axes[0], own, span)
    if found.after:
        _after(axes[1], own, span)
    _orders(axes[-1], found, span)
    axes[-1].set_xlim(span.start - 0.5, max(span.stop, span.start + 8) - 0.5)
    axes[-1].set_xticks(list(span), [one.name for one in own], rotation=90, fontsize=7)


def _grounds(axis: Axes, own: Sequence[ChannelDiagnosis], span: range) -> None:
    told: set[str] = set()
    for at, one in zip(span, own, strict=True):
        if one.mark:
            label = one.mark if one.mark not in told else None
            told.add(one.mark)
            ground = _GROUNDS[one.mark]
            axis.axvspan(at - 0.5, at + 0.5, color=ground, alpha=0.6, label=label, lw=0)


def _before(axis: Axes, own: Sequence[ChannelDiagnosis], span: range) -> None:
    """Sizes on a log axis; a mean below 0 is a hollow circle."""
    for hollow, label in ((False, "mean"), (True, "minus the mean, where it is < 0")):
        pairs = [
            (at, abs(one.raw_mean))
            for at, one in zip(span, own, strict=True)
            if (one.raw_mean < 0) == hollow and one.raw_mean != 0
        ]
        if pairs:
            face = "none" if hollow else _MEAN
            axis.plot(
                *zip(*pairs, strict=True), "o", c=_MEAN, mfc=face, ms=4, label=label
            )
    stds = [(at, one.raw_std) for at, one in zip(span, own, strict=True) if one.raw_std]
    if stds:
        axis.plot(*zip(*stds, strict=True), "_", c=_STD, ms=7, mew=2, label="std")
        axis.set_yscale("log")
    axis.set_ylabel("raw value")
    _legend(axis)


def _after(axis: Axes, own: Sequence[ChannelDiagnosis], span: range) -> None:
    means = [one.mean for one in own if one.mean is not None]
    stds = [one.std for one in own if one.std is not None]
    axis.plot(span, means, "o", c=_MEAN, ms=4, label="mean")
    axis.plot(span, stds, "_", c=_STD, ms=7, mew=2, label="std")
    for level in (0.0, 1.0):
        axis.axhline(level, color="0.6", linewidth=0.7, linestyle=":", zorder=0)
    axis.set_ylabel("after the spec")
    _legend(axis)


def _orders(axis: Axes, found: Diagnosis, span: range) -> None:
    """A row an order: a channel's place in the files, white where it is its own."""
    drawn = found.orders[:MOST_ORDERS]
    places = np.array([found.place(order) for order in drawn])[:, list(span)]
    moved = np.ma.masked_equal(places - np.array(span), 0)
    most = max(len(found.channels) - 1, 1)
    axis.pcolormesh(
        np.arange(span.start, span.stop + 1) - 0.5,
        np.arange(len(drawn) + 1) - 0.5,
        moved,
        cmap="coolwarm",
        vmin=-most,
        vmax=most,
        edgecolors="0.85",
        linewidth=0.3,
    )
    if len(found.channels) <= PER_STRIP // 2:
        for row, column in np.ndindex(places.shape):
            text = str(places[row, column] + 1)
            axis.text(span[column], row, text, ha="center", va="center", fontsize=6)
    told = [f"{len(order.acquisitions)} acq." for order in drawn]
    axis.set_yticks(range(len(drawn)), told, fontsize=6)
    axis.invert_yaxis()
    left = len(found.orders) - len(drawn)
    more = f" ({left} more orders)" if left else ""
    axis.set_title(
        f"place in the files: white as here, blue earlier, red later{more}", fontsize=7
    )


def _legend(axis: Axes) -> None:
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
