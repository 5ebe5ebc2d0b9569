"""Channels and steps in the words of a person, for refusals, tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from normgate.contract.steps import (
    Arcsinh,
    Clip,
    Log1p,
    Mask,
    Rescale,
    RescaleSample,
    Scale,
    Standardize,
    StandardizeSample,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from normgate.contract.contract import ContractChannel
    from normgate.contract.spec import Channel
    from normgate.contract.steps import Step


def describe_channel(channel: Channel | ContractChannel) -> str:
    """Say what a channel does, e.g. `uint16: clip 963..9016, rescale 963..9016`."""
    return f"{channel.input}: {describe_steps(channel)}"


def describe_steps(channel: Channel | ContractChannel) -> str:
    """Say the same without the input's type, e.g. `clip 963..9016`."""
    return ", ".join(describe_step(step) for step in channel.steps) or "unchanged"


def describe_step(step: Step) -> str:
    """Say what one step does, with its constants."""
    match step:
        case Clip(low=low, high=high):
            return f"clip {number(low)}..{number(high)}"
        case Rescale(low=low, high=high):
            return f"rescale {number(low)}..{number(high)} to 0..1"
        case Standardize(mean=mean, std=std):
            return f"standardize mean {number(mean)} std {number(std)}"
        case Scale(gain=gain, offset=offset):
            return f"scale by {number(gain)} plus {number(offset)}"
        case Arcsinh(cofactor=cofactor):
            return f"arcsinh of x/{number(cofactor)}"
        case Log1p():
            return "log(1+x)"
        case StandardizeSample():
            return f"standardize each {step.scope} by its own {_sample(step)}"
        case RescaleSample():
            ends = (number(step.low_percentile), number(step.high_percentile))
            own = f"percentiles {' and '.join(ends)} ({step.method})"
            return f"rescale each {step.scope} by its own {own}, {_shared(step)}"
        case _:
            assert_never(step)


def number(value: Decimal) -> str:
    """Write a constant as a person would: 963, 0.485, 1E-8."""
    plain = format(value, "f")
    return plain if len(plain) <= 24 else str(value)


def _sample(step: StandardizeSample) -> str:
    return f"mean and std (ddof {step.ddof}), {_shared(step)}"


def _shared(step: StandardizeSample | RescaleSample) -> str:
    return (
        f"fitted on {_mask(step.fit_mask)}, applied to {_mask(step.apply_mask)}, "
        f"eps {number(step.eps)} ({step.eps_placement})"
    )


def _mask(mask: Mask) -> str:
    if mask.value is None:
        return {"all": "all pixels", "nonzero": "pixels other than 0"}[mask.kind]
    return f"pixels above {number(mask.value)}"
