"""Judging plates and wells that lie apart: location and scale, with sampling errors.

A well counts once, by the mean of its pictures' means, so that the error is that of
wells. Location is in units of the channel's own standard deviation over all pixels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from normgate.gate import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from normgate.check.facts import PictureFacts, PlateFacts

LOCATION = 0.25
"""A plate that lies so many of the channel's standard deviations apart is shifted."""
SCALE = math.log2(1.25)
"""A plate whose pictures spread by so many octaves wider or less is scaled."""
ERRORS = 3.0
"""Less than so many standard errors is no shift."""
OUTLYING = 5.0
"""Robust z beyond which a well is an outlier."""
LEAST_WELLS = 8
"""Wells of one plate and label from which on outliers can be told."""
MAD = 1.4826
"""From the median absolute deviation to a standard deviation, of a normal law."""

Well = tuple[str, str]


def findings(facts: PlateFacts) -> Iterator[Finding]:
    """Shift of each plate, and outlying wells, for each marker and timepoint."""
    series: dict[tuple[str, int], list[PictureFacts]] = defaultdict(list)
    for one in facts.pictures:
        series[one.marker, one.place.timepoint_ms].append(one)
    times = {time for _, time in series}
    for (marker, time), own in series.items():
        name = marker if len(times) == 1 else f"{marker}.{time}ms"
        spread = math.sqrt(float(np.mean([one.std**2 for one in own])))
        if spread > 0:
            yield from plate_shifts(name, own, spread)
            yield outlying(name, own)


def plate_shifts(
    name: str, pictures: Sequence[PictureFacts], spread: float
) -> Iterator[Finding]:
    """The plates that lie furthest apart in location and in scale.

    Args:
        name: The channel.
        pictures: Its pictures.
        spread: Standard deviation of its pixels within pictures.
    """
    means = well_values(pictures, {id(p): p.mean / spread for p in pictures})
    scales = well_values(
        pictures, {id(p): math.log2(p.std) for p in pictures if p.std > 0}
    )
    for kind, values, limit, unit in (
        ("shift", means, LOCATION, "standard deviations"),
        ("scale", scales, SCALE, "octaves of spread"),
    ):
        if len({plate for plate, _ in values}) > 1:
            yield furthest(f"data.{name}.plate_{kind}", name, values, limit, unit)


def well_values(
    pictures: Sequence[PictureFacts], numbers: Mapping[int, float]
) -> dict[Well, float]:
    """Each well's mean of a number of its pictures; pictures go by their `id`."""
    found: dict[Well, list[float]] = defaultdict(list)
    for one in pictures:
        if id(one) in numbers:
            found[one.place.plate, one.place.well].append(numbers[id(one)])
    return {well: float(np.mean(own)) for well, own in found.items()}


def furthest(
    name: str, channel: str, values: Mapping[Well, float], limit: float, unit: str
) -> Finding:
    """Yellow where the plate that lies furthest apart does so beyond its error.

    Args:
        name: The finding's name.
        channel: The channel.
        values: A number a well.
        limit: From where on it matters.
        unit: What the number is, in words.
    """
    plates: dict[str, list[float]] = defaultdict(list)
    for (plate, _), value in values.items():
        plates[plate].append(value)
    judged = {plate: apart(plate, plates) for plate in plates}
    plate = max(judged, key=lambda one: abs(judged[one][0]))
    shift, error = judged[plate]
    beyond = abs(shift) >= limit and not abs(shift) <= ERRORS * error
    return Finding(
        name=name,
        value=shift,
        threshold=math.copysign(limit, shift),
        basis="judgement",
        level="yellow" if beyond else "green",
        sentence=f"Plate {plate} lies {shift:+.2f} {unit} beside the other plates in "
        f"{channel}, standard error {error:.2f} of {len(plates[plate])} wells; within "
        f"{limit:.2g} or {ERRORS:g} errors is expected.",
        culprit=f"plate {plate}",
        mend="Look at exposure and stain of that plate; hold whole plates out, and see "
        "whether the model's score follows the plate."
        if beyond
        else "",
    )


def apart(plate: str, plates: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """How far a plate's mean lies from that of the other plates' means, and its error.

    Returns:
        The difference, and its standard error; NaN where a plate has one well only.
    """
    others = [own for name, own in plates.items() if name != plate]
    middle = float(np.mean([np.mean(own) for own in others]))
    error = _squared_error(plates[plate])
    error += sum(map(_squared_error, others)) / len(others) ** 2
    return float(np.mean(plates[plate])) - middle, math.sqrt(error)


def outlying(name: str, pictures: Sequence[PictureFacts]) -> Finding:
    """Yellow where wells lie far from others of their plate and label."""
    values = well_values(pictures, {id(p): p.mean for p in pictures})
    kinds = {(p.place.plate, p.place.well): p.place.label for p in pictures}
    groups: dict[tuple[str, str], dict[Well, float]] = defaultdict(dict)
    for well, value in values.items():
        groups[well[0], kinds[well]][well] = value
    scores: dict[Well, float] = {}
    for own in groups.values():
        if len(own) >= LEAST_WELLS:
            scores |= robust_z(own)
    far = sorted((w for w in scores if abs(scores[w]) > OUTLYING), key=lambda w: -abs(
        scores[w]
    ))  # fmt: skip
    largest = max((abs(score) for score in scores.values()), default=0.0)
    told = ", ".join(f"{plate} {well} ({scores[plate, well]:+.1f})" for plate, well in
                     far[:3])  # fmt: skip
    return Finding(
        name=f"data.{name}.outlying_wells",
        value=largest,
        threshold=OUTLYING,
        basis="judgement",
        level="yellow" if far else "green",
        sentence=f"{len(far)} of {len(values)} wells lie more than {OUTLYING:g} robust "
        f"standard deviations from their plate's wells in {name}"
        + (f": {told}." if far else "."),
        culprit=f"well {far[0][1]} of plate {far[0][0]}" if far else name,
        mend="Look at these wells: dust, focus, an empty well." if far else "",
    )


def robust_z(values: Mapping[Well, float]) -> dict[Well, float]:
    """Distance from the median in standard deviations by the MAD; 0 without spread."""
    numbers = np.array(list(values.values()))
    middle = float(np.median(numbers))
    mad = MAD * float(np.median(np.abs(numbers - middle)))
    return {
        well: (value - middle) / mad if mad > 0 else 0.0
        for well, value in values.items()
    }


def _squared_error(values: Sequence[float]) -> float:
    """Squared standard error of a mean; NaN of a single value."""
    if len(values) < 2:
        return math.nan
    return float(np.var(values, ddof=1)) / len(values)
