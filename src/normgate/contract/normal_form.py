"""Normal form: what a channel computes, independent of how it is spelled.

Every run of clip and affine steps folds to `clamp(x, low, high) * gain + offset` in
exact rational arithmetic. Bounds that no value of the input dtype can reach are
dropped, for they compute nothing. Nonlinear and per-sample steps stay apart, in
their order. Steps become arithmetic here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, assert_never

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
from normgate.errors import SpecError

if TYPE_CHECKING:
    from normgate.contract.spec import Channel, InputType
    from normgate.contract.steps import Step

DTYPE_RANGE: dict[InputType, tuple[int, int] | None] = {
    "uint8": (0, 255),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "float32": None,
}


KEPT_FORMS = 4096
"""Channels whose form is kept: a gate asks for each a dozen times, and folding many
steps of many digits takes milliseconds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClampAffine:
    """`clamp(x, low, high) * gain + offset`, exactly; None is no bound."""

    low: Fraction | None = None
    high: Fraction | None = None
    gain: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    @property
    def identity(self) -> bool:
        """Whether it changes nothing."""
        return self == ClampAffine()

    def then_affine(self, gain: Fraction, offset: Fraction) -> ClampAffine:
        """Follow with `y * gain + offset`."""
        return replace(self, gain=self.gain * gain, offset=self.offset * gain + offset)

    def then_clip(self, low: Fraction, high: Fraction) -> ClampAffine:
        """Follow with a clip of the output to low..high."""
        first, second = sorted(
            ((low - self.offset) / self.gain, (high - self.offset) / self.gain)
        )
        return replace(
            self,
            low=_clamped(self.low, first, second, default=first),
            high=_clamped(self.high, first, second, default=second),
        )


@dataclass(frozen=True, slots=True)
class Nonlinear:
    """`arcsinh(x)` or `log1p(x)`; cofactors are folded into the affine before."""

    name: Literal["arcsinh", "log1p"]


SampleOperation = StandardizeSample | RescaleSample
Operation = ClampAffine | Nonlinear | SampleOperation


@dataclass(frozen=True, slots=True)
class ChannelForm:
    """The normal form of one channel: its input dtype and its operations in order."""

    input: InputType
    operations: tuple[Operation, ...]

    @property
    def fixed(self) -> bool:
        """Whether nothing is measured per sample."""
        return not any(isinstance(op, SampleOperation) for op in self.operations)


@lru_cache(maxsize=KEPT_FORMS)
def normal_form(channel: Channel) -> ChannelForm:
    """Fold a channel's steps to what they compute.

    Raises:
        SpecError: If the steps leave one single value of the channel, or feed a
            logarithm values that may be at or below -1; the step is named.
    """
    operations: list[Operation] = []
    bounds: _Bounds = _dtype_bounds(channel.input)
    affine = ClampAffine()
    for number, step in enumerate(channel.steps, start=1):
        where = f"channel {channel.name!r}, step {number} ({step.kind})"
        folded = _fold(affine, step)
        if folded is not None:
            affine = folded
            _refuse_constant(affine, bounds, where)
            continue
        affine = _prepare(affine, step)
        operations += _kept(_relevant(affine, bounds))
        bounds = _after(_image(affine, bounds), step, where)
        operations.append(_operation(step))
        affine = ClampAffine()
    operations += _kept(_relevant(affine, bounds))
    return ChannelForm(channel.input, tuple(operations))


_Bounds = tuple[Fraction | None, Fraction | None]


def _fold(affine: ClampAffine, step: Step) -> ClampAffine | None:
    """Fold one clip or affine step; None for a step that can't be folded."""
    match step:
        case Clip(low=low, high=high):
            return affine.then_clip(Fraction(low), Fraction(high))
        case Rescale(low=low, high=high):
            width = Fraction(high) - Fraction(low)
            return affine.then_affine(1 / width, -Fraction(low) / width)
        case Standardize(mean=mean, std=std):
            return affine.then_affine(
                1 / Fraction(std), -Fraction(mean) / Fraction(std)
            )
        case Scale(gain=factor, offset=offset):
            return affine.then_affine(Fraction(factor), Fraction(offset))
        case Arcsinh() | Log1p() | StandardizeSample() | RescaleSample():
            return None
        case _:
            assert_never(step)


def _prepare(affine: ClampAffine, step: Step) -> ClampAffine:
    if isinstance(step, Arcsinh):
        return affine.then_affine(1 / Fraction(step.cofactor), Fraction(0))
    return affine


def _operation(step: Step) -> Operation:
    match step:
        case Arcsinh():
            return Nonlinear("arcsinh")
        case Log1p():
            return Nonlinear("log1p")
        case StandardizeSample() | RescaleSample():
            return step
        case _:
            raise AssertionError(f"{step.kind} folds into an affine")


def _clamped(
    bound: Fraction | None,
    low: Fraction,
    high: Fraction,
    *,
    default: Fraction,
) -> Fraction:
    return default if bound is None else min(max(bound, low), high)


def _dtype_bounds(input_type: InputType) -> _Bounds:
    limits = DTYPE_RANGE[input_type]
    return (
        (None, None) if limits is None else (Fraction(limits[0]), Fraction(limits[1]))
    )


def _relevant(affine: ClampAffine, bounds: _Bounds) -> ClampAffine:
    """Drop clamp bounds that no input value can reach."""
    low, high = affine.low, affine.high
    if low is not None and bounds[0] is not None and low <= bounds[0]:
        low = None
    if high is not None and bounds[1] is not None and high >= bounds[1]:
        high = None
    return replace(affine, low=low, high=high)


def _kept(affine: ClampAffine) -> list[Operation]:
    return [] if affine.identity else [affine]


def _refuse_constant(affine: ClampAffine, bounds: _Bounds, where: str) -> None:
    low = bounds[0] if affine.low is None else affine.low
    high = bounds[1] if affine.high is None else affine.high
    above = low is not None and bounds[1] is not None and low >= bounds[1]
    below = high is not None and bounds[0] is not None and high <= bounds[0]
    if above or below or (low is not None and low == high):
        raise SpecError(
            f"{where} leaves one single value of the channel: its range does not "
            "overlap what comes in; check the constants and the input dtype"
        )


def _image(affine: ClampAffine, bounds: _Bounds) -> _Bounds:
    """The bounds of the affine's output for inputs within the bounds given."""
    low, high = (
        bound if own is None else own
        for own, bound in zip((affine.low, affine.high), bounds, strict=True)
    )
    ends = [None if b is None else b * affine.gain + affine.offset for b in (low, high)]
    return (ends[0], ends[1]) if affine.gain > 0 else (ends[1], ends[0])


def _after(bounds: _Bounds, step: Step, where: str) -> _Bounds:
    """Bounds after a step that is not affine: known only at zero."""
    if isinstance(step, Log1p) and (bounds[0] is None or bounds[0] <= -1):
        raise SpecError(
            f"{where} may meet values at or below -1; put a clip with a low bound "
            "above -1 before it"
        )
    positive = bounds[0] is not None and bounds[0] >= 0
    monotone = isinstance(step, Arcsinh | Log1p)
    return (Fraction(0) if positive and monotone else None, None)
