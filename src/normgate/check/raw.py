"""Judging raw intensities alone: background, padding, and data normalized before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.check.normalized import clip_bounds
from normgate.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.check.facts import PlateFacts
    from normgate.contract import Channel
    from normgate.gate import Level
    from normgate.transform.distribution import Distribution

SPARSE = 0.98
"""At this share of one value the 1st and 99th percentile may both be that value."""
UNIT = 1.5
SMALL = 30.0
"""Standardized data lie within so many of their own units."""
RAW = 100.0
"""A spec whose constants are this large is meant for counts."""
ISOLATED = 0.1
"""A gap above the lowest value, as a share of the middle 98% of the others."""
PADDED = 0.01


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """What each channel's counts give away by themselves."""
    for one in facts.channels:
        if one.before is not None:
            yield sparse(one.name, one.before)
            yield padding(one.name, one.before)
            yield normalized_before(one.name, one.channel, one.before)


def normalized_before(
    name: str, channel: Channel | None, before: Distribution
) -> Finding:
    """Red where data were normalized before and the spec is for counts."""
    kind = _looks_normalized(before)
    low, high = (math.inf, math.inf) if channel is None else clip_bounds(channel)
    counts = channel is not None and math.isfinite(high) and high >= RAW
    level: Level = "green" if not kind else "red" if counts else "yellow"
    against = f", but the spec clips at {low:g} and {high:g}" if counts and kind else ""
    return Finding(
        name=f"data.{name}.normalized",
        value=before.high,
        threshold=UNIT if kind == "0..1" else SMALL,
        basis="judgement",
        level=level,
        sentence=f"Channel {name} holds {before.low:.4g}..{before.high:.4g}, mean "
        f"{before.mean:.4g}, std {before.std:.4g}"
        + (f": it was normalized before ({kind}){against}." if kind else "."),
        culprit=name,
        mend="Give the raw counts; normalizing twice is another normalization."
        if kind
        else "",
    )


def _looks_normalized(before: Distribution) -> str:
    """`0..1` or `mean 0, std 1` where the values look so; empty for counts."""
    if (before.values == before.values.astype(int)).all():
        return ""
    if before.low >= 0 and before.high <= UNIT:
        return "0..1"
    centred = abs(before.mean) <= 0.5 * before.std
    if before.low < 0 and centred and before.high <= SMALL and before.std <= UNIT * 2:
        return "mean 0, std 1"
    return ""


def sparse(name: str, before: Distribution) -> Finding:
    """Yellow where one value is nearly all of a channel."""
    value, share = before.most_common
    thin = share >= SPARSE
    return Finding(
        name=f"data.{name}.sparse",
        value=share,
        threshold=SPARSE,
        basis="theorem",
        level="yellow" if thin else "green",
        sentence=f"{share:.1%} of channel {name} are {value:g}; from {SPARSE:.0%} on "
        "the 1st and 99th percentile may be one value.",
        culprit=name,
        mend="Measure inside the mask (mask=nonzero or files)." if thin else "",
    )


def padding(name: str, before: Distribution) -> Finding:
    """Yellow where the lowest value is a plateau apart from all others."""
    share, gap = before.share(before.low), 0.0
    if len(before.values) > 2:
        p1, p99 = (
            float(before.values[1]) if share >= q / 100 else before.percentile(q)
            for q in (1, 99)
        )
        span = p99 - max(p1, float(before.values[1]))
        gap = float(before.values[1] - before.low) / span if span > 0 else 0.0
    padded = share >= PADDED and gap >= ISOLATED
    return Finding(
        name=f"data.{name}.padding",
        value=share if padded else 0.0,
        threshold=PADDED,
        basis="judgement",
        level="yellow" if padded else "green",
        sentence=f"{share:.1%} of channel {name} are {before.low:g}"
        + (
            f", and nothing else lies below {before.values[1]:g}: padding, or a "
            "masked background."
            if padded
            else ", its lowest value."
        ),
        culprit=name,
        mend="Leave it out of what is measured (mask=nonzero or files)."
        if padded
        else "",
    )
