"""Recipes for CT and MRI: channels of a spec, ready made.

CT is in Hounsfield units (HU), so one pair of constants serves every case; MRI is in
arbitrary units, so each case is measured. Per-sample steps measure the whole case,
never a slice of it: the loader sees to that. Names that begin with `legacy_` are an
incident's, for its replay and for importing old models. Fitting constants is the
caller's work (`normgate.volumes.statistics`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from normgate.contract.spec import Channel, InputType, Spec
from normgate.contract.steps import (
    Clip,
    Mask,
    Rescale,
    Scale,
    Standardize,
    StandardizeSample,
    exact,
)
from normgate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normgate.contract.steps import Step

MRI, CT = "MRI", "CT"
"""The two modalities; further CT channels are named `CT_<window>`."""
WINDOWS: dict[str, tuple[int, int]] = {
    "brain": (40, 80),
    "subdural": (80, 200),
    "bone": (600, 2800),
}
"""Centre and width in HU of the windows that radiologists look through."""
Number = Decimal | int | float
Background = Literal["same", "zero"]


def modality(channel: str) -> str:
    """The modality that a channel is made of: `MRI`, or `CT` for `CT` and `CT_bone`.

    Raises:
        SpecError: The name is neither.
    """
    if channel in (MRI, CT):
        return channel
    if channel.startswith(f"{CT}_"):
        return CT
    raise SpecError(
        f"channel {channel!r} is neither {MRI}, {CT} nor {CT}_<window>; name each "
        "channel of a fusion spec by what it is made of"
    )


def nnunet_ct(
    *,
    low: Number,
    high: Number,
    mean: Number,
    std: Number,
    name: str = CT,
    input_type: InputType = "int16",
) -> Channel:
    """Clip to a data set's foreground percentiles, then its mean and sd.

    As nnU-Net's `CTNormalization`: the same constants for every case.

    Args:
        low: 0.5th percentile of the foreground of the training cases, HU.
        high: 99.5th percentile, HU.
        mean: Mean of that foreground before clipping, HU.
        std: Its standard deviation, HU.
        name: The channel's name.
        input_type: What the volume holds.
    """
    return _channel(
        name,
        input_type,
        Clip(low=exact(low), high=exact(high)),
        Standardize(mean=exact(mean), std=exact(std)),
    )


def hu_fixed(
    scale: Number = 1000,
    *,
    low: Number = -1024,
    high: Number = 3071,
    name: str = CT,
    input_type: InputType = "int16",
) -> Channel:
    """HU over a fixed scale, clipped to what a scanner can give; nothing is fitted."""
    return _channel(
        name,
        input_type,
        Clip(low=exact(low), high=exact(high)),
        Standardize(mean=Decimal(0), std=exact(scale)),
    )


def window(
    center: Number,
    width: Number,
    *,
    low: Number = -1,
    high: Number = 1,
    name: str = CT,
    input_type: InputType = "int16",
) -> Channel:
    """A display window: center - width/2 becomes low, center + width/2 becomes high.

    Whatever lies beyond the window is lost; see `windows` for several at once.

    Raises:
        SpecError: The width is not above 0, or low is not below high.
    """
    middle, half, span = exact(center), exact(width) / 2, exact(high) - exact(low)
    if half <= 0 or span <= 0:
        raise SpecError(
            f"channel {name!r}: a window of width {width} to {low}..{high}; expected "
            "a width above 0, and low below high"
        )
    first, last = middle - half, middle + half
    return _channel(
        name,
        input_type,
        Clip(low=first, high=last),
        Rescale(low=first, high=last),
        Scale(gain=span, offset=exact(low)),
    )


def windows(
    names: Iterable[str] = tuple(WINDOWS),
    *,
    low: Number = -1,
    high: Number = 1,
    input_type: InputType = "int16",
) -> tuple[Channel, ...]:
    """Several windows of one CT as channels `CT_brain`, `CT_subdural`, `CT_bone`.

    Raises:
        SpecError: A window is not known.
    """
    found = tuple(names)
    for name in found:
        if name not in WINDOWS:
            raise SpecError(
                f"there is no window {name!r}; there is {', '.join(WINDOWS)}"
            )
    return tuple(
        window(
            *WINDOWS[name], low=low, high=high, name=f"{CT}_{name}",
            input_type=input_type,
        )
        for name in found
    )  # fmt: skip


def mri_case_z(
    *,
    above: Number | None = None,
    background: Background = "same",
    name: str = MRI,
    input_type: InputType = "float32",
) -> Channel:
    """Per-case z-score over foreground, for MRI in arbitrary units.

    Args:
        above: Foreground is what lies above this value; None for what is not 0.
        background: `same` moves the background as the foreground, so that the step
            can be undone; `zero` makes it 0, as nnU-Net and MONAI leave it.
        name: The channel's name.
        input_type: What the volume holds.
    """
    kept = (
        Mask(kind="nonzero")
        if above is None
        else Mask(kind="above", value=exact(above))
    )
    step = StandardizeSample(
        scope="channel",
        fit_mask=kept,
        apply_mask=Mask() if background == "same" else kept,
        outside="keep" if background == "same" else "zero",
        eps=Decimal(0),
        eps_placement="max",
        degenerate="raise",
        ddof=0,
    )
    return _channel(name, input_type, step)


def mri_dataset_z(
    *,
    mean: Number,
    std: Number,
    name: str = MRI,
    input_type: InputType = "float32",
) -> Channel:
    """A data set's mean and sd, for MRI in physical units such as an ADC map."""
    return _channel(name, input_type, Standardize(mean=exact(mean), std=exact(std)))


def legacy_minmax_ct(*, name: str = CT, input_type: InputType = "int16") -> Channel:
    """The incident's first: clip -1000..3000 HU to 0..1, `(x + 1000) / 4000`."""
    low, high = Decimal(-1000), Decimal(3000)
    return _channel(
        name, input_type, Clip(low=low, high=high), Rescale(low=low, high=high)
    )


def legacy_masked_z_ct(*, name: str = CT, input_type: InputType = "int16") -> Channel:
    """The incident's remedy: clip to 1000 HU, z-score by what lies above -900.

    The mask is taken after the clip, the sd is NumPy's (ddof 0), every voxel is
    changed; without a spread only the mean is taken off.
    """
    step = StandardizeSample(
        scope="channel",
        fit_mask=Mask(kind="above", value=Decimal(-900)),
        apply_mask=Mask(),
        outside="keep",
        eps=Decimal(0),
        eps_placement="add",
        degenerate="center",
        ddof=0,
    )
    return _channel(
        name, input_type, Clip(low=Decimal(-1000), high=Decimal(1000)), step
    )


def legacy_window_ct(*, name: str = CT, input_type: InputType = "int16") -> Channel:
    """The incident's third: -160..240 HU to -2..2; all bone becomes the constant 2."""
    return window(40, 400, low=-2, high=2, name=name, input_type=input_type)


def fusion_spec(mri: Channel, *ct: Channel) -> Spec:
    """The spec of a fusion model: MRI, then one or more CT channels.

    Raises:
        SpecError: A channel stands where it does not belong, or there is no CT.
    """
    if modality(mri.name) != MRI or not ct or any(modality(c.name) != CT for c in ct):
        found = ", ".join(channel.name for channel in (mri, *ct))
        raise SpecError(
            f"found channels {found}; expected {MRI}, then CT or CT_<window>"
        )
    return Spec(channels=(mri, *ct))


def _channel(name: str, input_type: InputType, *steps: Step) -> Channel:
    return Channel(name=name, input=input_type, steps=steps)
