"""Judging bit depth and container: what the raw values of pictures give away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from normgate.gate import Finding
from normgate.gate.vitals import SATURATED_RED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from normgate.check.facts import ChannelFacts, PictureFacts, PlateFacts
    from normgate.gate import Level
    from normgate.gate.vitals import Basis
    from normgate.transform.distribution import Distribution

SOME, MOST = 0.02, 0.98
"""A trap in more than the first and less than the second share of pictures is a mix."""
EIGHT_BITS = 256
QUANTIZED_RANGE = 4
"""Values that span so many times their number were rounded to steps."""
FULL_SCALES = (255.0, 4095.0, 16383.0, 65535.0)
SATURATED_SHARE = 0.01
ENOUGH = 10_000
"""Pixels from which on few distinct values can't be chance."""

_MEASURE = "measure the spec on these files, and put none of another depth beside them"
_TRAPS: dict[str, tuple[Level, Basis, str]] = {
    "constant": ("yellow", "theorem", "Look at these pictures; an empty well is so."),
    "not-finite": ("red", "theorem", "Mend or leave out these pictures."),
    "times-257": ("yellow", "theorem", f"Use the raw export; else {_MEASURE}."),
    "offset-32768": (
        "yellow",
        "measured",
        f"Export without the offset; else {_MEASURE}.",
    ),
    "shifted": ("yellow", "theorem", f"Use the raw export; else {_MEASURE}."),
    "eight-bit-range": ("yellow", "measured", f"Use the raw export; else {_MEASURE}."),
    "saturated": (
        "yellow",
        "measured",
        "Expose less; what is at the limit can't be told apart any more.",
    ),
    "absent-chunks": ("yellow", "theorem", "Copy the store again, or look at it."),
    "bit-depth": ("green", "measured", ""),
}
_EXCLUSIVE = ("times-257", "offset-32768")
"""Traps that one export has or has not."""


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """Everything about bit depth and container."""
    yield from (missing(name, facts) for name in facts.missing)
    for marker in dict.fromkeys(one.marker for one in facts.pictures):
        own = [one for one in facts.pictures if one.marker == marker]
        yield types(marker, own)
        yield from traps(marker, own)
    for channel in facts.channels:
        if channel.before is not None:
            yield from depth(channel, channel.before)


def missing(channel: str, facts: PlateFacts) -> Finding:
    """Red: the table has no picture of a channel."""
    have = ", ".join(dict.fromkeys(one.marker for one in facts.pictures))
    times = sorted({place.timepoint_ms for place in facts.places})
    return Finding(
        name=f"data.{channel}.missing",
        value=0.0,
        threshold=1.0,
        basis="theorem",
        level="red",
        sentence=f"The table has no picture of channel {channel}; it has {have} at "
        f"{', '.join(map(str, times))} ms.",
        culprit=channel,
        mend="Name the path column after the spec's marker, or use a spec of these "
        "channels.",
    )


def types(marker: str, pictures: Sequence[PictureFacts]) -> Finding:
    """Red where the pictures of one marker are of several types."""
    found = Counter(one.dtype for one in pictures)
    usual = found.most_common(1)[0][0]
    odd = next((one.path for one in pictures if one.dtype != usual), "")
    told = ", ".join(f"{count} {dtype}" for dtype, count in found.most_common())
    return Finding(
        name=f"data.{marker}.types",
        value=float(len(found)),
        threshold=1.0,
        basis="theorem",
        level="red" if odd else "green",
        sentence=f"The pictures of {marker} are {told}"
        + (f", such as {odd}; one type is expected." if odd else "."),
        culprit=marker,
        mend="Export every picture of a marker alike." if odd else "",
    )


def traps(marker: str, pictures: Sequence[PictureFacts]) -> Iterator[Finding]:
    """What single pictures give away, joined by kind; a mix of two exports is red."""
    kinds = Counter(trap.kind for one in pictures for trap in one.traps)
    for kind, count in kinds.items():
        level, basis, mend = _TRAPS[kind]
        share = count / len(pictures)
        if kind in _EXCLUSIVE and SOME < share < MOST:
            level, mend = "red", "Export every picture of a marker alike."
        if kind == "constant" and share == 1:
            level, mend = "red", "Look whether this channel was recorded at all."
        example = next(t for one in pictures for t in one.traps if t.kind == kind)
        yield Finding(
            name=f"data.{marker}.{kind}",
            value=share,
            threshold=0.0,
            basis=basis,
            level=level,
            sentence=f"{count} of {len(pictures)} pictures of {marker}, such as "
            f"{example.where}: {example.sentence}.",
            culprit=marker,
            mend=mend,
        )


def depth(channel: ChannelFacts, before: Distribution) -> Iterator[Finding]:
    """What all values of a channel together give away."""
    yield saturated(channel.name, before)
    whole = before.values.astype(int) == before.values
    if before.total >= ENOUGH and whole.all():
        yield quantized(channel.name, before)


def saturated(name: str, before: Distribution) -> Finding:
    """Judge the share of pixels that stand at the limit of a bit depth."""
    share = before.share(before.high) if before.high in FULL_SCALES else 0.0
    level: Level = "red" if share >= SATURATED_RED else "green"
    if level == "green" and share >= SATURATED_SHARE:
        level = "yellow"
    return Finding(
        name=f"data.{name}.full_scale",
        value=share,
        threshold=SATURATED_RED if level == "red" else SATURATED_SHARE,
        basis="measured",
        level=level,
        sentence=f"{share:.1%} of channel {name} stand at {before.high:g}, the limit "
        f"of its depth; less than {SATURATED_SHARE:.0%} is expected.",
        culprit=name,
        mend=""
        if level == "green"
        else "Read the files without conversion (a 16-bit picture that is made 8-bit "
        "by clipping looks so), or expose less.",
    )


def quantized(name: str, before: Distribution) -> Finding:
    """Yellow where few values span a wide range: bits were lost before."""
    levels, span = len(before.values), before.high - before.low + 1
    few = 1 < levels <= EIGHT_BITS and span >= QUANTIZED_RANGE * levels
    return Finding(
        name=f"data.{name}.levels",
        value=float(levels),
        threshold=float(EIGHT_BITS),
        basis="theorem",
        level="yellow" if few else "green",
        sentence=f"Channel {name} has {levels:,} different values in "
        f"{before.low:g}..{before.high:g}"
        + (", so it went through 8 bits." if few else "."),
        culprit=name,
        mend="Use the raw export; what was rounded away is gone." if few else "",
    )
