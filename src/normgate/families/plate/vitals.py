"""Measuring a plate training's vitals; `normgate.gate.vitals` judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import ClampAffine, normal_form
from normgate.gate.vitals import channel_vitals, prediction_vitals, scale_ratio
from normgate.transform.table import first_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec
    from normgate.families.plate.data import PlateUnits
    from normgate.gate import Vital

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRange:
    """One channel after normalization and resize, over all units."""

    low: float
    high: float
    mean: float
    std: float


def channel_ranges(images_ncyx: NDArray[np.float32]) -> tuple[ChannelRange, ...]:
    """Range, mean and std of each channel, in one pass of bounded memory."""
    channels = images_ncyx.shape[1]
    low = np.full(channels, np.inf)
    high = np.full(channels, -np.inf)
    one, two = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images_ncyx), _AT_ONCE):
        some = images_ncyx[start : start + _AT_ONCE].astype(np.float64)
        low = np.minimum(low, some.min(axis=(0, 2, 3)))
        high = np.maximum(high, some.max(axis=(0, 2, 3)))
        one += some.sum(axis=(0, 2, 3))
        two += np.square(some).sum(axis=(0, 2, 3))
    pixels = images_ncyx.size / channels
    std = np.sqrt(np.maximum(two / pixels - np.square(one / pixels), 0))
    return tuple(
        ChannelRange(
            low=float(low[c]),
            high=float(high[c]),
            mean=float(one[c] / pixels),
            std=float(std[c]),
        )
        for c in range(channels)
    )


def unit_vitals(
    spec: Spec, units: PlateUnits, positive: Sequence[float], positive_name: str
) -> tuple[Vital, ...]:
    """Every vital of a fitted replicate.

    Args:
        spec: What the units were normalized by.
        units: All units.
        positive: Positive probability of each held-out unit.
        positive_name: The positive class.
    """
    ends = prediction_vitals(positive, positive=positive_name)
    return (*normalized_vitals(spec, units), *ends)


def normalized_vitals(spec: Spec, units: PlateUnits) -> tuple[Vital, ...]:
    """The vitals of the units as the network sees them, before any training."""
    found: list[Vital] = []
    stds: dict[str, float] = {}
    ranges = channel_ranges(units.images)
    for channel, counts, after in zip(
        spec.channels, units.raw_counts, ranges, strict=True
    ):
        below, above = clipped_shares(channel, counts)
        stds[channel.name] = after.std
        found += channel_vitals(
            channel.name,
            low=after.low,
            high=after.high,
            std=after.std,
            below=below,
            above=above,
        )
    return (*found, scale_ratio(stds))


def clipped_shares(
    channel: Channel, counts: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Share of raw pixels strictly below and above the first clip's bounds.

    Args:
        channel: A channel of the spec.
        counts: How often each raw value occurs; None where that is not known.
    """
    operations = normal_form(channel).operations
    first = operations[0] if operations else None
    if counts is None or not isinstance(first, ClampAffine) or not counts.sum():
        return 0.0, 0.0
    start = first_value(channel.input)
    values = np.arange(start, start + len(counts))
    total = counts.sum()
    low = -np.inf if first.low is None else float(first.low)
    high = np.inf if first.high is None else float(first.high)
    below, above = counts[values < low].sum(), counts[values > high].sum()
    return float(below / total), float(above / total)
