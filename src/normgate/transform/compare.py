"""Compare: whether two specs are the same, and if not, where and by how much.

Channels are paired by name, else by marker. Same means the same digest. How much two
channels differ is measured at every intensity that both can meet (integer input), or
on a grid over the range of both (float32 input).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract import (
    channel_digest,
    describe_channel,
    spec_digest,
    write_atomic,
)
from normgate.transform.difference import Difference, comparable, difference, outputs

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Channel, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelComparison:
    """One channel of each spec, or of one where the other has none."""

    first: Channel | None
    second: Channel | None
    same: bool
    """Whether the digests are equal."""
    difference: Difference | None = None
    """None where they are the same, or can't be compared pixel by pixel."""

    @property
    def name(self) -> str:
        """The channel's name, or both names where they differ."""
        names = [c.name for c in (self.first, self.second) if c is not None]
        return " and ".join(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What distinguishes two specs."""

    same: bool
    """Whether the specs' digests are equal."""
    channels: tuple[ChannelComparison, ...]

    @property
    def differing(self) -> tuple[ChannelComparison, ...]:
        """The channels that are not the same, or stand in one spec only."""
        return tuple(channel for channel in self.channels if not channel.same)


def compare(first: Spec, second: Spec) -> Comparison:
    """Compare two specs channel by channel.

    Raises:
        SpecError: If the steps of a channel have no normal form or no table.
    """
    return Comparison(
        same=spec_digest(first) == spec_digest(second),
        channels=tuple(_compare_channels(a, b) for a, b in _pairs(first, second)),
    )


def explain(comparison: Comparison) -> str:
    """Say what a comparison found, one line per differing channel."""
    if comparison.same:
        return "The two specs are the same: they compute the same on every channel."
    if not comparison.differing:
        return (
            "Every channel computes the same, but the specs name, repeat or order "
            "their channels differently."
        )
    lines = [_sentence(channel) for channel in comparison.differing]
    number = f"{len(lines)} of {len(comparison.channels)} channels"
    return "\n".join([f"The two specs are not the same: {number} differ.", *lines])


def plot(
    comparison: Comparison,
    path: Path,
    labels: tuple[str, str] = ("first", "second"),
) -> None:
    """Draw both outputs of every comparable differing channel, as PNG.

    Intensities are drawn on an asinh axis, so that a channel of 0..238 is seen beside
    others of 16 bits.

    Args:
        comparison: From `compare`.
        path: The PNG file to write; its folder is made where it is missing.
        labels: What to call the two specs.
    """
    # Here, so that comparing without a picture doesn't wait for Matplotlib.
    from matplotlib.figure import Figure

    pairs = comparison.differing or comparison.channels
    shown = [
        (pair, forms)
        for pair in pairs
        if (forms := comparable(pair.first, pair.second))
    ]
    rows = max(len(shown), 1)
    figure = Figure(figsize=(8, 0.6 + 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for axis, (pair, forms) in zip(axes, shown, strict=False):
        grid, one, two = outputs(*forms)
        axis.plot(grid, one, label=labels[0], color="tab:blue")
        axis.plot(grid, two, label=labels[1], color="tab:orange", linestyle="--")
        axis.fill_between(grid, one, two, color="0.85", linewidth=0)
        axis.set_xscale("asinh", linear_width=50)
        axis.margins(x=0)
        axis.set(title=_title(pair), ylabel="output", xlabel="intensity (counts)")
        axis.legend()
    if not shown:
        axes[0].text(0.5, 0.5, "no channel can be compared", ha="center")
        axes[0].set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomic(path, buffer.getvalue())


_Pair = tuple["Channel | None", "Channel | None"]


def _pairs(first: Spec, second: Spec) -> list[_Pair]:
    """Pair by name, else by marker: RFP1 belongs to RFP1:0ms and to RFP1:10000ms."""
    named = {channel.name: channel for channel in second.channels}
    pairs: list[_Pair] = []
    met: set[str] = set()
    for channel in first.channels:
        partners = [named[channel.name]] if channel.name in named else []
        partners = partners or [
            other
            for other in second.channels
            if other.marker == channel.marker and other.name not in first.names
        ]
        pairs += [(channel, other) for other in partners] or [(channel, None)]
        met |= {other.name for other in partners}
    return pairs + [(None, c) for c in second.channels if c.name not in met]


def _sentence(pair: ChannelComparison) -> str:
    if pair.first is None or pair.second is None:
        place = "second" if pair.first is None else "first"
        return f"Channel {pair.name} stands in the {place} spec only."
    found = (
        f"Channel {pair.name}: {describe_channel(pair.first)}; "
        f"against {describe_channel(pair.second)}."
    )
    return f"{found} {_amount(pair.difference)}"


def _amount(found: Difference | None) -> str:
    if found is None:
        return "They can't be compared intensity by intensity."
    if found.count == 0:
        return f"Yet all {found.compared} intensities compared give the same."
    one, two = found.outputs
    return (
        f"They differ at {found.count} of {found.compared} intensities, "
        f"{found.first:g} to {found.last:g}, by up to {found.largest:.6g} "
        f"(at {found.where:g}: {one:.6g} against {two:.6g})."
    )


def _title(pair: ChannelComparison) -> str:
    if pair.difference is None:
        return f"{pair.name}: the same"
    return f"{pair.name}: differs by up to {pair.difference.largest:.4g}"


def _compare_channels(
    first: Channel | None, second: Channel | None
) -> ChannelComparison:
    if first is None or second is None:
        return ChannelComparison(first=first, second=second, same=False)
    same = channel_digest(first) == channel_digest(second)
    forms = None if same else comparable(first, second)
    return ChannelComparison(
        first=first,
        second=second,
        same=same,
        difference=difference(*forms) if forms else None,
    )
