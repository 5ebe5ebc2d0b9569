"""Judging what a spec makes of real intensities: range, spread, clipping, scale.

The judgements of single channels are the gate's own vitals, so that training and check
say the same; here are besides constants that were measured on other data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.contract import DTYPE_RANGE, ClampAffine, normal_form
from normgate.gate import Finding, vitals
from normgate.gate.finding import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.check.facts import ChannelFacts, PlateFacts
    from normgate.contract import Channel
    from normgate.gate import Level
    from normgate.transform.distribution import Distribution

USED_YELLOW, USED_RED = 0.1, 0.01
"""Share of the clip's range that the data's middle 98% span."""
STANDARD_MEAN, STANDARD_STD = 0.1, 0.2

_MENDS = {
    "range": "Look at the constants of the last step.",
    "dead": "Use the constants of this channel and bit depth; measure if there are "
    "none.",
    "std": "Compare the channel's constants with its percentiles in the report.",
    "saturated_low": "Measure the percentiles on these images, or use a spec of them.",
    "saturated_high": "Measure the percentiles on these images, or use a spec of them.",
}


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """Everything about the intensities of each channel after the spec."""
    stds: dict[str, float] = {}
    for one in facts.channels:
        if one.before is None:
            continue
        if one.channel is not None:
            yield input_type(one.name, one.channel, facts)
        if one.channel is not None and one.after is not None:
            stds[one.name] = one.after.std
            yield from of_channel(one, one.channel, one.before, one.after)
    if len(stds) > 1:
        yield finding(
            vitals.scale_ratio(stds),
            culprit=max(stds, key=lambda name: stds[name]),
            mend="Give every channel constants of its own.",
        )


def of_channel(
    facts: ChannelFacts, channel: Channel, before: Distribution, after: Distribution
) -> Iterator[Finding]:
    """The vitals of one normalized channel, and its clip against its data."""
    low, high = clip_bounds(channel)
    for vital in vitals.channel_vitals(
        facts.name,
        low=after.low,
        high=after.high,
        std=after.std,
        below=before.below(low),
        above=before.above(high),
    ):
        kind = vital.name.rpartition(".")[2]
        mend = "" if vital.level == "green" else _MENDS[kind]
        yield finding(vital, culprit=facts.name, mend=mend)
    if math.isfinite(high - low):
        yield clip_range(facts.name, before, low, high)
    yield scale(facts.name, after)
    yield abundance(facts.name, channel)
    if _standardizes(channel):
        yield standard(facts.name, after)


def clip_bounds(channel: Channel) -> tuple[float, float]:
    """Where a channel clips first; infinite where it does not.

    A clip at the end of an integer type changes nothing and leaves the normal form, but
    a range it has all the same.
    """
    operations = normal_form(channel).operations
    first = operations[0] if operations else None
    if not isinstance(first, ClampAffine) or (first.low is None and first.high is None):
        return -math.inf, math.inf
    least, most = DTYPE_RANGE[channel.input] or (-math.inf, math.inf)
    return (
        float(least if first.low is None else first.low),
        float(most if first.high is None else first.high),
    )


def input_type(name: str, channel: Channel, facts: PlateFacts) -> Finding:
    """Red where pictures are of another type than the spec takes."""
    own = [one for one in facts.pictures if one.marker == channel.marker]
    wrong = [one for one in own if one.dtype != channel.input]
    said = f"; {wrong[0].path} is {wrong[0].dtype}" if wrong else ""
    return Finding(
        name=f"data.{name}.input",
        value=float(len(wrong)),
        threshold=0.0,
        basis="theorem",
        level="red" if wrong else "green",
        sentence=f"Channel {name} of the spec takes {channel.input}, and "
        f"{len(own) - len(wrong)} of {len(own)} pictures are{said}.",
        culprit=name,
        mend="Read the files as they were recorded, or use a spec for their type."
        if wrong
        else "",
    )


def clip_range(name: str, before: Distribution, low: float, high: float) -> Finding:
    """Judge what share of the clip's range the data use."""
    p1, p99 = before.percentile(1), before.percentile(99)
    inside = min(p99, high) - max(p1, low)
    used = max(inside, 0.0) / (high - low) if high > low else math.nan
    level: Level = "red"
    if used >= USED_RED:
        level = "green" if used >= USED_YELLOW else "yellow"
    return Finding(
        name=f"norm.{name}.clip_range",
        value=used,
        threshold=USED_RED if level == "red" else USED_YELLOW,
        basis="judgement",
        level=level,
        sentence=f"The middle 98% of channel {name} are {p1:g}..{p99:g} and span "
        f"{used:.1%} of the spec's {low:g}..{high:g}; {USED_YELLOW:.0%} or more is "
        "expected.",
        culprit=name,
        mend=""
        if level == "green"
        else "Use the constants of this channel and bit depth, or measure them.",
    )


def scale(name: str, after: Distribution) -> Finding:
    """Red where normalized values lie far from 0: a step is missing."""
    far = abs(after.mean) > vitals.LARGEST_VALUE
    return Finding(
        name=f"norm.{name}.mean",
        value=after.mean,
        threshold=vitals.LARGEST_VALUE,
        basis="judgement",
        level="red" if far else "green",
        sentence=f"Channel {name} has mean {after.mean:.4g} after normalization; "
        f"within {vitals.LARGEST_VALUE:g} of 0 is expected.",
        culprit=name,
        mend="Its constants are for data of another scale: put a rescale to 0..1 "
        "before them."
        if far
        else "",
    )


def standard(name: str, after: Distribution) -> Finding:
    """Yellow where what is to have mean 0 and std 1 has not."""
    apart = max(abs(after.mean) / STANDARD_MEAN, abs(after.std - 1) / STANDARD_STD)
    return Finding(
        name=f"norm.{name}.standard",
        value=apart,
        threshold=1.0,
        basis="judgement",
        level="yellow" if apart > 1 else "green",
        sentence=f"Channel {name} has mean {after.mean:.3g} and std {after.std:.3g} "
        f"where it is standardized; 0 within {STANDARD_MEAN:g} and 1 within "
        f"{STANDARD_STD:g} are expected of the data that the constants came from.",
        culprit=name,
        mend="Measure mean and std on the training part of these data."
        if apart > 1
        else "",
    )


def abundance(name: str, channel: Channel) -> Finding:
    """Yellow where each picture is measured by itself: how bright it is, is lost."""
    lost = not normal_form(channel).fixed
    return Finding(
        name=f"norm.{name}.abundance",
        value=float(lost),
        threshold=0.0,
        basis="theorem",
        level="yellow" if lost else "green",
        sentence=f"Channel {name} is normalized by "
        + (
            "each picture's own statistics, so that bright and dark pictures become "
            "alike and abundance is lost."
            if lost
            else "constants, which keep how bright a picture is."
        ),
        culprit=name,
        mend="Use constants of the data set, unless brightness is a nuisance."
        if lost
        else "",
    )


def _standardizes(channel: Channel) -> bool:
    """Whether a channel's own mean and std end its steps."""
    kinds = [step.kind for step in channel.steps]
    return kinds[-1:] == ["standardize"] and "rescale" not in kinds
