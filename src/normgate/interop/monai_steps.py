"""MONAI's intensity transforms as steps: what each one executes for its arguments.

Arithmetic as in monai 1.5 and 1.6, `monai/transforms/intensity/array.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.contract.steps import Clip, Mask, Rescale, Scale, Standardize
from normgate.interop.arguments import Unsayable
from normgate.interop.sampled import Measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from normgate.contract.steps import Step
    from normgate.interop.arguments import Arguments
    from normgate.interop.sampled import Scope

UNSAID = frozenset({
    "AdjustContrast", "ClipIntensityPercentiles", "ForegroundMask", "GammaCorrection",
    "GaussianSharpen", "GaussianSmooth", "HistogramNormalize", "Lambda",
    "MaskIntensity", "MedianSmooth", "RescaleIntensity", "ScaleIntensityFixedMean",
    "ShiftIntensity", "StdShiftIntensity", "ThresholdIntensity", "TorchVision",
})  # fmt: skip
"""Transforms that change intensities in ways that steps can't say."""


def _range(given: Arguments) -> tuple[Step, ...]:
    """Affine first, then clipped to the outcome's bounds."""
    low, high = given.number("a_min"), given.number("a_max")
    steps: tuple[Step, ...] = (Rescale(low=low, high=high),)
    if ("b_min" in given) != ("b_max" in given):
        raise Unsayable("one of b_min and b_max has no step")
    if "b_min" not in given:
        return steps
    bottom, top = given.number("b_min"), given.number("b_max")
    steps += _onto(bottom, top)
    if given.flag("clip", default=False):
        steps += (Clip(low=bottom, high=top),)
    return steps


def _onto(bottom: Decimal, top: Decimal) -> tuple[Step, ...]:
    """0..1 to other bounds."""
    if bottom == 0 and top == 1:
        return ()
    return (Scale(gain=top - bottom, offset=bottom),)


def _minmax(given: Arguments) -> tuple[Step, ...]:
    bottom, top = given.number("minv", 0.0), given.number("maxv", 1.0)
    if "factor" in given or bottom != 0:
        raise Unsayable("a factor, or a minv other than 0, has no step")
    return (Measured(_scope(given), "zeros").rescaled(), *_onto(bottom, top))


def _range_percentiles(given: Arguments) -> tuple[Step, ...]:
    if given.flag("relative", default=False):
        raise Unsayable("relative percentiles have no step")
    bottom, top = given.number("b_min"), given.number("b_max")
    if bottom != 0:
        raise Unsayable("a b_min other than 0 has no step")
    step = Measured(_scope(given), "center").rescaled(
        given.number("lower"),
        given.number("upper"),
        clip=given.flag("clip", default=False),
    )
    return (step, *_onto(bottom, top))


def _normalize(given: Arguments) -> tuple[Step, ...]:
    nonzero = given.flag("nonzero", default=False)
    if "subtrahend" in given or "divisor" in given:
        if nonzero:
            raise Unsayable("constants on nonzero pixels alone have no step")
        mean, std = given.number("subtrahend", 0.0), given.number("divisor", 1.0)
        return (Standardize(mean=mean, std=std),)
    mask = Mask(kind="nonzero" if nonzero else "all")
    return (Measured(_scope(given), "center", mask=mask).standardized(),)


def _scope(given: Arguments) -> Scope:
    return "channel" if given.flag("channel_wise", default=False) else "image"


SAID: dict[str, Callable[[Arguments], tuple[Step, ...]]] = {
    "NormalizeIntensity": _normalize,
    "ScaleIntensity": _minmax,
    "ScaleIntensityRange": _range,
    "ScaleIntensityRangePercentiles": _range_percentiles,
}
"""By the transform's name."""
