"""Between what bounds values lie after some steps, whatever the picture is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract.steps import (
    Arcsinh,
    Clip,
    Log1p,
    Rescale,
    RescaleSample,
    Scale,
    Standardize,
    StandardizeSample,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normgate.contract.steps import Step


@dataclass(frozen=True, slots=True)
class Span:
    """Bounds, infinite where there are none."""

    low: float
    high: float
    centred: bool = False
    """Whether the mean is 0, so that a part of any picture with a spread is below."""


def span_of(steps: Sequence[Step], entry: tuple[float, float]) -> Span:
    """Follow bounds through steps; degenerate pictures are left out.

    Args:
        steps: In their order.
        entry: The bounds of what comes in.
    """
    span = Span(*entry)
    for step in steps:
        span = _after(span, step)
    return span


def _after(span: Span, step: Step) -> Span:
    match step:
        case Clip(low=low, high=high):
            return _each(span, lambda x: min(max(x, float(low)), float(high)))
        case Rescale(low=low, high=high):
            return _affine(span, 1 / float(high - low), -float(low / (high - low)))
        case Standardize(mean=mean, std=std):
            return _affine(span, 1 / float(std), -float(mean / std))
        case Scale(gain=gain, offset=offset):
            return _affine(span, float(gain), float(offset))
        case StandardizeSample():
            return Span(-math.inf, math.inf, centred=step.outside == "keep")
        case RescaleSample(low_percentile=low, high_percentile=high, clip=clip):
            bounded = clip or (low == 0 and high == 100)
            return Span(0.0, 1.0) if bounded else Span(-math.inf, math.inf)
        case Arcsinh(cofactor=cofactor):
            return _each(span, lambda x: math.asinh(x / float(cofactor)))
        case Log1p():
            return _each(span, lambda x: math.log1p(x) if x > -1 else -math.inf)


def _each(span: Span, rising: Callable[[float], float]) -> Span:
    return Span(rising(span.low), rising(span.high))


def _affine(span: Span, gain: float, offset: float) -> Span:
    one, other = span.low * gain + offset, span.high * gain + offset
    centred = span.centred and offset == 0
    return Span(min(one, other), max(one, other), centred)
