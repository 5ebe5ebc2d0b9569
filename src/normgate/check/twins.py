"""Judging channels that are one, or exchanged: same file, same pixels, same dye."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from normgate.check.normalized import clip_bounds
from normgate.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from normgate.check.facts import PictureFacts, PlateFacts
    from normgate.gate import Level

ALIKE = 0.85
"""Unlike stains of real plates correlate by at most .61, one dye in two projections by
.90 and more (docs/LOG.md)."""
SWAP_FOLD = math.log(2)
"""Percentiles that are off by less than this factor are no sign of an exchange."""
SWAP_GAIN = 0.25
"""An exchange that leaves less of the misfit than this explains it."""
Ends = tuple[float, float]


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """Files and pixels that stand twice, and channels that are exchanged."""
    yield shared_files(facts)
    yield same_pixels(facts.pictures)
    yield repeated(facts.pictures)
    for (one, other), found in facts.alike.items():
        yield alike(one, other, found)
    yield from swapped_with_spec(facts)
    yield from swapped_plates(facts.pictures)


def shared_files(facts: PlateFacts) -> Finding:
    """Red where the table names one file for two markers or two places."""
    count = len(facts.files)
    said = "No file stands twice in the table."
    if count:
        path, who = next(iter(facts.files.items()))
        (first, one), (second, other) = who[:2]
        said = (
            f"{count} files stand twice in the table, such as {path} as {one} of "
            f"{first} and as {other} of {second}."
        )
    return Finding(
        name="data.shared_files",
        value=float(count),
        threshold=0.0,
        basis="theorem",
        level="red" if count else "green",
        sentence=said,
        culprit=next(iter(facts.files), "table"),
        mend="Name each picture's own file; index the folder again." if count else "",
    )


def same_pixels(pictures: Sequence[PictureFacts]) -> Finding:
    """Red where two markers of one row have the very same pixels."""
    met: dict[tuple[object, str], str] = {}
    twins = []
    for one in pictures:
        if any(trap.kind == "constant" for trap in one.traps):
            continue
        first = met.setdefault((one.place, one.digest), one.marker)
        if first != one.marker:
            twins.append((first, one))
    said = "No two markers of a place have the same pixels."
    if twins:
        first, one = twins[0]
        said = (
            f"{len(twins)} times two markers have the same pixels, such as {first} and "
            f"{one.marker} of {one.place}."
        )
    return Finding(
        name="data.same_pixels",
        value=float(len(twins)),
        threshold=0.0,
        basis="theorem",
        level="red" if twins else "green",
        sentence=said,
        culprit=twins[0][1].marker if twins else "table",
        mend="One was copied under the other's name: export it again." if twins else "",
    )


def repeated(pictures: Sequence[PictureFacts]) -> Finding:
    """Judge pixels of one marker that stand at two places; in two groups it is red."""
    places: dict[tuple[str, str], list[PictureFacts]] = defaultdict(list)
    for one in pictures:
        if not any(trap.kind == "constant" for trap in one.traps):
            places[one.marker, one.digest].append(one)
    twice = [own for own in places.values() if len(own) > 1]
    across = [own for own in twice if len({one.place.group for one in own}) > 1]
    level: Level = "red" if across else "yellow" if twice else "green"
    said = "No picture stands at two places."
    if twice:
        first, second = (across or twice)[0][:2]
        said = (
            f"{len(twice)} pictures stand at two places with the very same pixels, "
            f"such as {first.marker} of {first.place} and of {second.place}."
        )
    if across:
        said += " They are in different split groups, so training and test share them."
    return Finding(
        name="data.repeated",
        value=float(len(twice)),
        threshold=0.0,
        basis="theorem",
        level=level,
        sentence=said,
        culprit=twice[0][0].path if twice else "table",
        mend="Keep one of them, or export the other again." if twice else "",
    )


def alike(one: str, other: str, found: Sequence[float]) -> Finding:
    """Yellow where two markers correlate as two pictures of one dye do."""
    middle = float(np.median(found))
    close = middle >= ALIKE
    return Finding(
        name=f"data.{one}.{other}.alike",
        value=middle,
        threshold=ALIKE,
        basis="measured",
        level="yellow" if close else "green",
        sentence=f"{one} and {other} correlate by {middle:.3f} (median of "
        f"{len(found)} rows); below {ALIKE:g} is expected of two stains.",
        culprit=other,
        mend="Look whether they are one dye, such as two projections of it, or one "
        "made of the other: then they are no independent channels."
        if close
        else "",
    )


def swapped_with_spec(facts: PlateFacts) -> Iterator[Finding]:
    """Whether two channels fit each other's constants and not their own."""
    origin = facts.provenance
    declared = {c.name: c for c in origin.channels} if origin else {}
    expected: dict[str, Ends] = {}
    found: dict[str, Ends] = {}
    for one in facts.channels:
        if one.channel is None or one.before is None:
            continue
        ends = clip_bounds(one.channel)
        if one.marker in declared and len(declared[one.marker].percentiles) == 2:
            (_, low), (_, high) = declared[one.marker].percentiles
            ends = float(low), float(high)
        if all(map(math.isfinite, ends)):
            expected[one.name] = ends
            found[one.name] = one.before.percentile(1), one.before.percentile(99)
    yield from swapped("the spec", expected, found)


def swapped_plates(pictures: Sequence[PictureFacts]) -> Iterator[Finding]:
    """Whether two markers of one plate are exchanged against the other plates."""
    ends: dict[str, dict[str, list[Ends]]] = defaultdict(lambda: defaultdict(list))
    for one in pictures:
        ends[one.place.plate][one.marker].append((one.p1, one.p99))
    if len(ends) < 3:
        return  # of two plates nobody can say which one is exchanged
    middle = {
        plate: {marker: _middle(found) for marker, found in own.items()}
        for plate, own in ends.items()
    }
    for plate, own in middle.items():
        others = [rest for name, rest in middle.items() if name != plate]
        usual = {
            marker: _middle([rest[marker] for rest in others if marker in rest])
            for marker in own
            if any(marker in rest for rest in others)
        }
        yield from swapped(f"the other plates ({plate})", usual, own)


def swapped(
    against: str, expected: Mapping[str, Ends], found: Mapping[str, Ends]
) -> Iterator[Finding]:
    """Red for each pair that fits far better when exchanged.

    Args:
        against: What is expected, in words.
        expected: By channel, the 1st and 99th percentile that it should have.
        found: Those that it has.
    """
    for one, other in combinations([name for name in found if name in expected], 2):
        own = misfit(expected[one], found[one]), misfit(expected[other], found[other])
        turned = (
            misfit(expected[one], found[other]),
            misfit(expected[other], found[one]),
        )
        remains = sum(turned) / sum(own) if sum(own) > 0 else math.inf
        exchanged = min(own) > SWAP_FOLD and remains < SWAP_GAIN
        yield Finding(
            name=f"data.{one}.{other}.swapped",
            value=remains,
            threshold=SWAP_GAIN,
            basis="judgement",
            level="red" if exchanged else "green",
            sentence=f"{one} and {other} exchanged would fit {against} "
            + (
                f"with {remains:.0%} of the misfit: they look exchanged."
                if exchanged
                else "no better."
            ),
            culprit=other,
            mend="Exchange the two path columns, or the files." if exchanged else "",
        )


def misfit(expected: Ends, found: Ends) -> float:
    """How far two ranges are apart, as the larger log ratio of width and upper end."""
    widths = [max(high - low, 0.0) + 1 for low, high in (expected, found)]
    tops = [abs(high) + 1 for _, high in (expected, found)]
    return max(abs(math.log(a) - math.log(b)) for a, b in (widths, tops))


def _middle(found: Sequence[Ends]) -> Ends:
    low, high = np.median(np.array(found), axis=0)
    return float(low), float(high)
