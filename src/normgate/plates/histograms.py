"""A picture of what was measured: intensities before and after a spec, by channel."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from normgate.contract import describe_channel, write_atomic
from normgate.transform.histogram import IntegerHistogram
from normgate.transform.table import table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec
    from normgate.plates.survey import Histogram

BINS, FEW = 200, 512
_BLUE, _RED, _GREEN = "#2b6cb0", "#c53030", "#2f855a"


def draw_histograms(
    spec: Spec, histograms: Mapping[str, Histogram], path: Path
) -> None:
    """Draw each marker's counts, and what the spec makes of them, as a PNG.

    Args:
        spec: The spec; a marker at several timepoints is drawn once.
        histograms: Exact counts by marker; float32 markers are left out.
        path: The PNG.
    """
    channels = {c.marker: c for c in reversed(spec.channels)}
    shown = [
        (channels[marker], counts)
        for marker, counts in histograms.items()
        if isinstance(counts, IntegerHistogram)
    ]
    with mpl.rc_context({"font.size": 9}):
        width = 4.2 * max(len(shown), 1)
        figure = Figure(figsize=(width, 5.4), layout="constrained")
        axes = figure.subplots(2, max(len(shown), 1), squeeze=False)
        for (channel, counts), (before, after) in zip(shown, axes.T, strict=False):
            _draw_before(before, channel, counts)
            _draw_after(after, channel, counts)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _draw_before(axes: Axes, channel: Channel, counts: IntegerHistogram) -> None:
    values = np.flatnonzero(counts.counts) + counts.first
    weights = counts.counts[values - counts.first]
    axes.hist(values, bins=_bins(values), weights=weights, log=True, color=_BLUE)
    for step in channel.steps:
        if step.kind == "clip":
            for bound in (step.low, step.high):
                axes.axvline(float(bound), color=_RED, linewidth=1)
            axes.set_xlabel(
                f"counts; red: {float(step.low):g} and {float(step.high):g}"
            )
    axes.set_title(f"{channel.marker}: raw")
    axes.set_ylabel("pixels")


def _draw_after(axes: Axes, channel: Channel, counts: IntegerHistogram) -> None:
    values = np.flatnonzero(counts.counts)
    output, weights = table(channel)[values], counts.counts[values]
    axes.hist(output, bins=_bins(output), weights=weights, log=True, color=_GREEN)
    axes.set_title(f"{channel.marker}: normalized")
    words = describe_channel(channel).partition(": ")[2]
    axes.set_xlabel("\n".join(words.split(", ")[-2:]))
    axes.set_ylabel("pixels")


def _bins(values: NDArray[Any]) -> list[float] | int:
    """A bin a value where there are few, since other widths would show false combs."""
    distinct = np.unique(values).astype(np.float64)
    if not 1 < len(distinct) <= FEW:
        return BINS
    between = (distinct[1:] + distinct[:-1]) / 2
    first, last = distinct[1] - distinct[0], distinct[-1] - distinct[-2]
    edges = [distinct[0] - first / 2, *between, distinct[-1] + last / 2]
    return [float(edge) for edge in edges]
