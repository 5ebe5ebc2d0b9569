"""A picture of what was measured: intensities before and after a spec, by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.contract import normal_form
from normgate.transform.distribution import Distribution
from normgate.transform.view import ChannelView, draw_views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from normgate.contract import Spec
    from normgate.plates.survey import Histogram


def draw_histograms(
    spec: Spec, histograms: Mapping[str, Histogram], path: Path
) -> None:
    """Draw each marker's counts, and what the spec makes of them, as a PNG.

    Args:
        spec: The spec; a marker at several timepoints is drawn once.
        histograms: Counts by marker.
        path: The PNG.
    """
    channels = {c.marker: c for c in reversed(spec.channels)}
    views = []
    for marker, counts in histograms.items():
        channel, before = channels[marker], Distribution.of(counts)
        fixed = normal_form(channel).fixed
        after = before.through(channel) if fixed else None
        views.append(
            ChannelView(name=marker, channel=channel, before=before, after=after)
        )
    draw_views(views, path)
