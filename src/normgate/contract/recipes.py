"""Common ways to build a spec: percentiles to 0..1, then ImageNet by marker.

ImageNet's three pairs of constants belong to a model's first three inputs only by
habit. Here each pair is bound to a marker by name, so that six channels (three
markers at two timepoints) are as well defined as three, and no constant is averaged.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from normgate.contract.provenance import ChannelProvenance, Provenance
from normgate.contract.spec import Channel, InputType, Spec
from normgate.contract.steps import Clip, FixedStep, Rescale, Standardize, exact
from normgate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The mean and std of ImageNet's training images in 0..1 (red, green, blue), as
# torchvision and timm publish them.
IMAGENET: tuple[tuple[Decimal, Decimal], ...] = tuple(
    (Decimal(mean), Decimal(std))
    for mean, std in (("0.485", "0.229"), ("0.456", "0.224"), ("0.406", "0.225"))
)

Range = tuple[Decimal, Decimal]


def percentile_spec(
    ranges: Mapping[str, Range],
    *,
    input_type: InputType,
    imagenet: Sequence[str] = (),
    timepoints_ms: Sequence[int] = (),
) -> Spec:
    """Clip each marker to its range, rescale it to 0..1, then ImageNet by marker.

    Args:
        ranges: Marker to (low, high) in counts, in model input order.
        input_type: The dtype of every channel's images.
        imagenet: Up to three markers that take ImageNet's red, green and blue
            constants, in this order; empty to leave channels in 0..1.
        timepoints_ms: Timepoints whose channels follow one another; empty for
            channels that are not bound to a timepoint.

    Raises:
        SpecError: If ImageNet is asked for, but not every marker is bound once.
    """
    constants = _bound(tuple(ranges), tuple(imagenet))
    suffixes = [f":{time}ms" for time in timepoints_ms] or [""]
    channels = [
        Channel(
            name=marker + suffix,
            input=input_type,
            steps=_steps(low, high, constants.get(marker)),
        )
        for suffix in suffixes
        for marker, (low, high) in ranges.items()
    ]
    return Spec(channels=tuple(channels))


def read_percentiles(data: bytes, source: str) -> tuple[dict[str, Range], Provenance]:
    """Read an `intensity_percentiles.json`: marker to its two percentiles.

    Args:
        data: JSON such as `{"RFP1": {"p1": 963, "p99": 9016}}`.
        source: The file's path, for errors and provenance.

    Returns:
        Marker to (low, high) in counts, and where they came from.

    Raises:
        SpecError: With the marker that has no two rising percentiles.
    """
    try:
        document = json.loads(data, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise SpecError(f"{source}: not valid JSON ({error})") from error
    if not isinstance(document, dict) or not document:
        raise SpecError(f'{source}: expected {{"MARKER": {{"p1": low, "p99": high}}}}')
    pairs = {name: _pair(name, entry, source) for name, entry in document.items()}
    channels = tuple(
        ChannelProvenance(name=name, images=0, pixels=0, percentiles=pair)
        for name, pair in pairs.items()
    )
    provenance = Provenance(
        source=source,
        source_digest=hashlib.sha256(data).hexdigest(),
        estimator="imported",
        channels=channels,
    )
    return {n: (pair[0][1], pair[1][1]) for n, pair in pairs.items()}, provenance


def _pair(name: str, entry: Any, source: str) -> tuple[Range, Range]:
    """The two (percentile, intensity) pairs of one marker, rising."""
    place = f"{source}: marker {name!r}"
    if not isinstance(entry, dict) or len(entry) != 2:
        raise SpecError(f'{place}: expected two percentiles, as {{"p1": 963, ...}}')
    try:
        pairs = sorted(
            (exact(Decimal(key.lstrip("pP"))), exact(value))
            for key, value in entry.items()
        )
    except (ArithmeticError, ValueError) as error:
        raise SpecError(f"{place}: {error or 'keys must be p<number>'}") from error
    if not pairs[0][1] < pairs[1][1]:
        raise SpecError(
            f"{place}: intensity {pairs[0][1]} must be below {pairs[1][1]}; "
            "check that the percentiles are not exchanged"
        )
    return pairs[0], pairs[1]


def _bound(markers: tuple[str, ...], imagenet: tuple[str, ...]) -> dict[str, Range]:
    if imagenet and sorted(imagenet) != sorted(markers):
        raise SpecError(
            f"ImageNet constants are bound to {', '.join(imagenet)}, but the markers "
            f"are {', '.join(markers)}; name each of at most three markers once"
        )
    if len(imagenet) > len(IMAGENET):
        raise SpecError(f"ImageNet has 3 pairs of constants, not {len(imagenet)}")
    return dict(zip(imagenet, IMAGENET, strict=False))


def _steps(
    low: Decimal, high: Decimal, constants: Range | None
) -> tuple[FixedStep, ...]:
    steps: tuple[FixedStep, ...] = (
        Clip(low=low, high=high),
        Rescale(low=low, high=high),
    )
    if constants is None:
        return steps
    return (*steps, Standardize(mean=constants[0], std=constants[1]))
