"""Vitals: signs of a dead or lying run, as judgements over numbers.

Measuring is the caller's work; here a number meets its threshold. Every vital names
the basis of its threshold: `theorem` follows from arithmetic, `measured` was found by
experiment, `judgement` is experience. Red forbids a promotion where the contract says
so; yellow is shown to a person.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Level = Literal["green", "yellow", "red"]
Basis = Literal["theorem", "measured", "judgement"]
LEVELS: tuple[Level, ...] = get_args(Level)

DEAD_STD = 1e-3
STD_RANGE = (0.1, 10.0)
LARGEST_VALUE = 50.0
SCALE_RATIO = 30.0
SATURATED_YELLOW, SATURATED_RED = 0.05, 0.50
ONE_CLASS = 0.99
CERTAIN = (0.01, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """One number of a run against its threshold."""

    name: str
    """An ASCII name that can be an MLflow key, as `norm.RFP1.std`."""
    value: float
    threshold: float
    """The bound that the value is judged by, the nearer one of two."""
    basis: Basis
    level: Level
    sentence: str
    """What was found, what is expected and what to look at."""

    def record(self) -> dict[str, Any]:
        """As a JSON object for a model's card."""
        return asdict(self)


def vital_from_record(record: Mapping[str, Any]) -> Vital:
    """Read a vital from a card.

    Raises:
        ValueError: If a field is missing, of another type or of an unknown level.
    """
    try:
        vital = Vital(
            name=str(record["name"]),
            value=float(record["value"]),
            threshold=float(record["threshold"]),
            basis=record.get("basis", "judgement"),
            level=record["level"],
            sentence=str(record["sentence"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a vital must be a complete record: {error}") from error
    if vital.level not in LEVELS:
        raise ValueError(f"vital {vital.name!r} has an unknown level {vital.level!r}")
    return vital


def worst(vitals: Iterable[Vital]) -> Level:
    """The worst level of several vitals; green for none."""
    return max((vital.level for vital in vitals), key=LEVELS.index, default="green")


def channel_vitals(
    channel: str, *, low: float, high: float, std: float, below: float, above: float
) -> tuple[Vital, ...]:
    """Judge one channel after normalization.

    Args:
        channel: The channel's name.
        low: The smallest normalized value of the sample of images that was measured.
        high: The largest.
        std: The standard deviation of the normalized values over that sample.
        below: The share of raw pixels strictly below the spec's lower clip bound.
        above: The share strictly above the upper one. A pixel that equals its bound
            is not changed by the clip, so a masked background of 0 is no saturation.
    """
    return (
        value_range(channel, low, high),
        dead_channel(channel, std),
        channel_std(channel, std),
        saturation(channel, "low", below),
        saturation(channel, "high", above),
    )


def value_range(channel: str, low: float, high: float) -> Vital:
    """Red when a normalized value is not finite, yellow when one is huge."""
    finite = math.isfinite(low) and math.isfinite(high)
    largest = max(abs(low), abs(high)) if finite else math.nan
    level: Level = (
        "red" if not finite else "yellow" if largest > LARGEST_VALUE else "green"
    )
    return Vital(
        name=f"norm.{channel}.range",
        value=largest,
        threshold=LARGEST_VALUE,
        basis="judgement",
        level=level,
        sentence=f"Channel {channel} spans {low:.4g} to {high:.4g} after "
        f"normalization; finite values within {LARGEST_VALUE:g} of zero are expected.",
    )


def dead_channel(channel: str, std: float) -> Vital:
    """Red when the channel is a constant: the model learns nothing from it."""
    return Vital(
        name=f"norm.{channel}.dead",
        value=std,
        threshold=DEAD_STD,
        basis="theorem",
        level="green" if std >= DEAD_STD else "red",
        sentence=f"Channel {channel} has std {std:.4g} after normalization; below "
        f"{DEAD_STD:g} it is dead, so look whether its constants belong to another "
        "channel or bit depth.",
    )


def channel_std(channel: str, std: float) -> Vital:
    """Yellow when the spread is far from 1; red when it is no number."""
    low, high = STD_RANGE
    level: Level = (
        "green" if low <= std <= high else "yellow" if math.isfinite(std) else "red"
    )
    return Vital(
        name=f"norm.{channel}.std",
        value=std,
        threshold=low if std < low else high,
        basis="measured",
        level=level,
        sentence=f"Channel {channel} has std {std:.4g} after normalization; "
        f"{low:g} to {high:g} is expected.",
    )


def saturation(channel: str, side: Literal["low", "high"], fraction: float) -> Vital:
    """Judge the share of pixels that one side of the clip flattens."""
    level: Level = "red"
    if fraction < SATURATED_RED:
        level = "green" if fraction < SATURATED_YELLOW else "yellow"
    return Vital(
        name=f"norm.{channel}.saturated_{side}",
        value=fraction,
        threshold=SATURATED_RED if level == "red" else SATURATED_YELLOW,
        basis="measured",
        level=level,
        sentence=f"{fraction:.1%} of channel {channel} lies beyond the {side} clip "
        f"bound; below {SATURATED_YELLOW:.0%} is expected, so look whether the "
        "percentiles were measured on these images.",
    )


def scale_ratio(stds: Mapping[str, float]) -> Vital:
    """Yellow when one channel's spread drowns another's.

    Args:
        stds: Per channel, the std of the normalized values.
    """
    ranked = sorted(stds, key=lambda channel: stds[channel])
    least, most = stds[ranked[0]], stds[ranked[-1]]
    ratio = most / least if least > 0 else math.inf
    return Vital(
        name="norm.scale_ratio",
        value=ratio,
        threshold=SCALE_RATIO,
        basis="measured",
        level="green" if ratio < SCALE_RATIO else "yellow",
        sentence=f"After normalization channel {ranked[-1]} spreads {ratio:.4g} times "
        f"as wide as {ranked[0]}; less than {SCALE_RATIO:g} times is expected.",
    )


def prediction_vitals(
    probabilities: Sequence[float], *, positive: str
) -> tuple[Vital, ...]:
    """Judge held-out predictions of a two-class model.

    Args:
        probabilities: The probability of the positive class, one per held-out unit of
            both classes.
        positive: The positive class's name.
    """
    return one_class(probabilities, positive), certainty(probabilities)


def one_class(probabilities: Sequence[float], positive: str) -> Vital:
    """Red when nearly every unit gets one class, or a probability is no number."""
    broken = not probabilities or any(math.isnan(p) for p in probabilities)
    share = math.nan
    if not broken:
        ahead = sum(p > 0.5 for p in probabilities) / len(probabilities)
        share = max(ahead, 1 - ahead)
    return Vital(
        name="predictions.one_class",
        value=share,
        threshold=ONE_CLASS,
        basis="measured",
        level="green" if share <= ONE_CLASS else "red",
        sentence=f"{share:.1%} of the held-out units get one and the same class "
        f"(positive is {positive}); at most {ONE_CLASS:.0%} is expected, more is the "
        "sign of other normalization at evaluation or of a collapsed model.",
    )


def certainty(probabilities: Sequence[float]) -> Vital:
    """Yellow when no probability lies between .01 and .99."""
    low, high = CERTAIN
    beyond = sum(not low <= p <= high for p in probabilities)
    share = beyond / len(probabilities) if probabilities else math.nan
    return Vital(
        name="predictions.certainty",
        value=share,
        threshold=1.0,
        basis="judgement",
        level="green" if share < 1 else "yellow",
        sentence=f"{share:.1%} of the held-out probabilities lie beyond {low:g} and "
        f"{high:g}; all of them there is the sign of an overconfident model.",
    )
