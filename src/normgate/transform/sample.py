"""Steps that measure each sample: standardize_sample and rescale_sample.

An integer image is its histogram: every value that occurs, and how often. Statistics
are exact there (integers are summed exactly, then rounded to binary64 once), and the
result is a table of the sample, so neither order nor threads can change a bit. Float32
images are summed in a fixed order in binary64.

All channels of one sample walk through their operations together, because scope
`image` measures them together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import RescaleSample, StandardizeSample
from normgate.errors import DataError, SpecError
from normgate.transform.estimates import interpolate, inverted_cdf_rank, ranks
from normgate.transform.lanes import lane_sums
from normgate.transform.table import FixedOperation, apply_operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import ChannelForm, Mask

SampleStep = StandardizeSample | RescaleSample


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one channel in one sample."""

    y: NDArray[np.float64]
    """Values, flat: those that occur (integer input), or all pixels in order."""
    counts: NDArray[np.int64] | None
    """How often each occurs; None where y is all pixels."""

    def kept(self, mask: Mask) -> Values:
        """Return the values that a step's mask keeps."""
        if mask.kind == "all":
            return self
        inside = _inside(mask, self.y)
        counts = None if self.counts is None else self.counts[inside]
        return Values(self.y[inside], counts)

    def each_count(self) -> NDArray[np.int64]:
        """Return how often each value occurs, 1 where y is all pixels."""
        every = np.ones(self.y.size, dtype=np.int64)
        return every if self.counts is None else self.counts

    @property
    def total(self) -> int:
        """How many pixels there are."""
        return self.y.size if self.counts is None else int(self.counts.sum())


@dataclass(frozen=True, slots=True)
class _Fit:
    center: float
    divisor: float
    """0 where it is degenerate."""


def check_scopes(forms: Sequence[ChannelForm], names: Sequence[str]) -> None:
    """Refuse a step of scope `image` that is not the same in every channel.

    Raises:
        SpecError: With the two channels that differ.
    """
    steps = [_split(form)[1] for form in forms]
    longest = max(len(own) for own in steps)
    for turn in range(longest):
        own = [s[turn] if turn < len(s) else None for s in steps]
        if not any(step is not None and step.scope == "image" for step in own):
            continue
        for name, step in zip(names, own, strict=True):
            if step != own[0]:
                raise SpecError(
                    f"channels {names[0]!r} and {name!r} differ in a step of scope "
                    "'image', which measures all channels together; give all "
                    "channels the same step, or use scope 'channel'"
                )


def transform_sample(
    forms: Sequence[ChannelForm], sample: Sequence[Values], names: Sequence[str]
) -> list[NDArray[np.float64]]:
    """Return every channel's values after all of its operations, in binary64.

    Args:
        forms: The channels' normal forms.
        sample: The channels' values of one sample, as they come in.
        names: The channels' names, for errors.

    Raises:
        DataError: If a step meets a degenerate sample that it must refuse.
    """
    split = [_split(form) for form in forms]
    now = list(sample)
    for turn in range(max(len(fixed) for fixed, _ in split)):
        for c, (fixed, _) in enumerate(split):
            if turn < len(fixed):
                now[c] = replace(now[c], y=apply_operations(fixed[turn], now[c].y))
        turns = {c: own[turn] for c, (_, own) in enumerate(split) if turn < len(own)}
        now = _measured_step(turns, now, names)
    return [values.y for values in now]


def _split(
    form: ChannelForm,
) -> tuple[list[list[FixedOperation]], list[SampleStep]]:
    """Split operations at each per-sample step: the runs between, and the steps."""
    runs: list[list[FixedOperation]] = [[]]
    steps: list[SampleStep] = []
    for operation in form.operations:
        if isinstance(operation, FixedOperation):
            runs[-1].append(operation)
        else:
            steps.append(operation)
            runs.append([])
    return runs, steps


def _measured_step(
    steps: dict[int, SampleStep], now: list[Values], names: Sequence[str]
) -> list[Values]:
    after = list(now)
    for c, step in steps.items():
        group = list(steps) if step.scope == "image" else [c]
        fitted = [now[g].kept(step.fit_mask) for g in group]
        fit = _fit(step, fitted)
        if fit.divisor == 0 and step.degenerate == "raise":
            raise DataError(
                f"channel {names[c]!r}: step {step.kind} met a sample with no spread, "
                "or no pixel within its fit mask; leave the image out, or choose "
                "another 'degenerate'"
            )
        after[c] = replace(now[c], y=_applied(step, fit, now[c].y))
    return after


def _inside(mask: Mask, y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values a mask of kind nonzero or above keeps."""
    if mask.value is None:
        return np.not_equal(y, 0)
    return np.greater(y, float(mask.value))


def _fit(step: SampleStep, fitted: list[Values]) -> _Fit:
    if isinstance(step, StandardizeSample):
        center, spread = _moments(fitted, step.ddof)
    else:
        low, high = _percentiles(step, fitted)
        center, spread = low, high - low
    eps = float(step.eps)
    divisor = spread + eps if step.eps_placement == "add" else max(spread, eps)
    if divisor == 0 or math.isnan(spread):
        return _Fit(0.0 if math.isnan(center) else center, 0.0)
    return _Fit(center, divisor)


def _applied(
    step: SampleStep, fit: _Fit, y: NDArray[np.float64]
) -> NDArray[np.float64]:
    if fit.divisor:
        result = (y - fit.center) / fit.divisor
    else:
        result = y - fit.center if step.degenerate == "center" else np.zeros_like(y)
    if isinstance(step, RescaleSample) and step.clip:
        result = np.minimum(np.maximum(result, 0.0), 1.0)
    if step.apply_mask.kind == "all":
        return result
    outside = y if step.outside == "keep" else np.zeros_like(y)
    return np.where(_inside(step.apply_mask, y), result, outside)


def _moments(fitted: list[Values], ddof: int) -> tuple[float, float]:
    """Mean and standard deviation; NaN where there are too few pixels."""
    count = sum(values.total for values in fitted)
    if count == 0:
        return math.nan, math.nan
    if all(values.counts is not None and _whole(values.y) for values in fitted):
        return _integer_moments(fitted, count, ddof)
    mean = math.fsum(_sums(values, 0.0)[0] for values in fitted) / count
    square = math.fsum(_sums(values, mean)[1] for values in fitted)
    spread = math.sqrt(square / (count - ddof)) if count > ddof else math.nan
    return mean, spread


def _integer_moments(
    fitted: list[Values], count: int, ddof: int
) -> tuple[float, float]:
    """Exact sums in Python's integers; a quotient of integers is rounded once."""
    one = two = 0
    for values in fitted:
        whole = map(int, values.y.tolist())
        for value, times in zip(whole, values.each_count().tolist(), strict=True):
            one += value * times
            two += value * value * times
    if count <= ddof:
        return one / count, math.nan
    variance = (count * two - one * one) / (count * (count - ddof))
    return one / count, math.sqrt(variance)


def _whole(y: NDArray[np.float64]) -> bool:
    return bool(np.all(y == np.rint(y)))


def _sums(values: Values, center: float) -> tuple[float, float]:
    """Sum of (y - center) and of its square, in an order fixed by the sample."""
    if values.counts is None:
        return lane_sums(values.y, center)
    away = values.y - center
    return math.fsum(values.counts * away), math.fsum(values.counts * (away * away))


def _percentiles(step: RescaleSample, fitted: list[Values]) -> tuple[float, float]:
    wanted = [float(step.low_percentile), float(step.high_percentile)]
    y = np.concatenate([values.y for values in fitted])
    if y.size == 0:
        return math.nan, math.nan
    if all(values.counts is None for values in fitted):
        low, high = np.percentile(y, wanted, method=step.method)
        return float(low), float(high)
    order = np.argsort(y, kind="stable")
    counts = np.concatenate([values.each_count() for values in fitted])
    cumulated = np.cumsum(counts[order])

    def ranked(rank: NDArray[np.int64]) -> NDArray[np.float64]:
        return y[order][np.searchsorted(cumulated, rank, side="right")]

    total = int(cumulated[-1])
    if step.method == "inverted_cdf":
        low, high = ranked(inverted_cdf_rank(total, wanted))
    else:
        below, above, weight = ranks(total, wanted)
        low, high = interpolate(ranked(below), ranked(above), weight)
    return float(low), float(high)
