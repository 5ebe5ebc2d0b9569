"""bioimage.io's operations as steps: what bioimageio.core executes for their arguments.

Arithmetic as in bioimageio.core 0.11, `proc_ops.py`: every divisor gets 1e-6 added
whatever eps the file asks for, and so do fixed standard deviations.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from normgate.contract.steps import Clip, Scale, Standardize
from normgate.interop.arguments import Unsayable
from normgate.interop.sampled import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from normgate.contract.steps import Step
    from normgate.interop.arguments import Arguments
    from normgate.interop.declared import Steps
    from normgate.interop.sampled import Scope

EPS = Decimal("0.000001")
"""What is executed, whatever is declared."""


def steps_of(
    kind: str, arguments: Arguments, given: Mapping[str, Any]
) -> tuple[Steps, ...]:
    """The steps of one operation, once for all channels or once for each.

    Args:
        kind: The operation, as the format names it.
        arguments: Its numbers.
        given: All that the file says of it.

    Raises:
        Unsayable: No step says it.
    """
    match kind:
        case "zero_mean_unit_variance" if given.get("mode") == "fixed":
            return _fixed(arguments)
        case "fixed_zero_mean_unit_variance":
            return _fixed(arguments)
        case "zero_mean_unit_variance":
            return ((Measured(_scope(given), "zeros", EPS).standardized(),),)
        case "scale_range":
            return ((_rescale(arguments, given),),)
        case "scale_linear":
            return _linear(arguments)
        case "clip" if "min" in arguments and "max" in arguments:
            return ((Clip(low=arguments.number("min"), high=arguments.number("max")),),)
    raise Unsayable("no step says it")


def _fixed(arguments: Arguments) -> tuple[Steps, ...]:
    means, stds = arguments.numbers("mean"), arguments.numbers("std")
    if len(means) != len(stds):
        raise Unsayable(f"{len(means)} means and {len(stds)} stds")
    pairs = zip(means, stds, strict=True)
    return tuple((Standardize(mean=mean, std=std + EPS),) for mean, std in pairs)


def _linear(arguments: Arguments) -> tuple[Steps, ...]:
    gains = arguments.numbers("gain") if "gain" in arguments else (Decimal(1),)
    offsets = arguments.numbers("offset") if "offset" in arguments else (Decimal(0),)
    width = max(len(gains), len(offsets))
    gains = gains * width if len(gains) == 1 else gains
    offsets = offsets * width if len(offsets) == 1 else offsets
    if len(gains) != len(offsets):
        raise Unsayable(f"{len(gains)} gains and {len(offsets)} offsets")
    pairs = zip(gains, offsets, strict=True)
    return tuple((Scale(gain=gain, offset=offset),) for gain, offset in pairs)


def _rescale(arguments: Arguments, given: Mapping[str, Any]) -> Step:
    if given.get("reference_tensor"):
        raise Unsayable("percentiles of another tensor have no step")
    return Measured(_scope(given), "zeros", EPS).rescaled(
        arguments.number("min_percentile", 0.0),
        arguments.number("max_percentile", 100.0),
    )


def _scope(given: Mapping[str, Any]) -> Scope:
    """Whether statistics are of all channels of a sample together, or of each.

    Raises:
        Unsayable: They are of a data set: without axes, or with the batch's.
    """
    axes = given.get("axes")
    batch = "b" if isinstance(axes, str) else "batch"
    if given.get("mode") == "per_dataset" or axes is None or batch in axes:
        raise Unsayable("statistics over a data set that the file does not hold")
    together = "c" in axes if isinstance(axes, str) else "channel" in axes
    return "image" if together else "channel"
