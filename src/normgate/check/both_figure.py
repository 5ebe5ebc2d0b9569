"""A picture of data under two specs, and of what a model then says."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from normgate.contract import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normgate.check.both import Both, BothChannel

Pair = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
ACROSS = 3
BINS = 120
_COLOURS = ("tab:blue", "tab:orange")


def draw_both(
    both: Both,
    path: Path,
    labels: tuple[str, str] = ("first", "second"),
    predictions: Mapping[str, Pair] | None = None,
    positive: str = "",
) -> None:
    """Draw each channel under both specs, and predictions by label, as a PNG.

    Args:
        both: The data under both specs.
        path: The PNG.
        labels: What to call the specs.
        predictions: By label, positive probabilities under each spec.
        positive: The positive class's name.
    """
    told = dict(predictions or {})
    count = len(both.channels) + len(told)
    columns = min(ACROSS, count)
    rows = -(-count // columns)
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis in axes[count:]:
            axis.set_axis_off()
        for axis, channel in zip(axes, both.channels, strict=False):
            _channel(axis, channel, labels)
        for axis, (name, pair) in zip(
            axes[len(both.channels) :], told.items(), strict=False
        ):
            _predictions(axis, name, pair, labels, positive)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _channel(axis: Axes, channel: BothChannel, labels: tuple[str, str]) -> None:
    ends = [one for one in (channel.first, channel.second) if one is not None]
    edges = np.linspace(
        min(one.low for one in ends), max(one.high for one in ends), BINS + 1
    )
    for found, label, colour in zip(
        (channel.first, channel.second), labels, _COLOURS, strict=True
    ):
        if found is not None:
            axis.hist(
                found.values,
                bins=list(edges) if edges[0] < edges[-1] else BINS,
                weights=found.counts / found.total,
                histtype="stepfilled",
                alpha=0.55,
                color=colour,
                label=label,
                log=True,
            )
    axis.set_title(channel.name + (": the same" if channel.same else ""))
    axis.set_xlabel("normalized intensity")
    axis.set_ylabel("share of pixels")
    axis.legend()


def _predictions(
    axis: Axes, name: str, pair: Pair, labels: tuple[str, str], positive: str
) -> None:
    flipped = float(np.mean((pair[0] > 0.5) != (pair[1] > 0.5)))
    for values, label, colour in zip(pair, labels, _COLOURS, strict=True):
        axis.hist(
            values,
            bins=list(np.linspace(0, 1, 41)),
            weights=np.full(len(values), 1 / len(values)),
            alpha=0.55,
            color=colour,
            label=label,
        )
    axis.axvline(0.5, color="0.4", linewidth=1, linestyle=":")
    axis.set_title(f"{name}: {flipped:.1%} flip")
    axis.set_xlabel(f"P({positive})")
    axis.set_ylabel("share of units")
    axis.legend()
