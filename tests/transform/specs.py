"""Channels and specs to try the transforms on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from normgate.contract import (
    Arcsinh,
    Channel,
    Clip,
    Mask,
    Rescale,
    RescaleSample,
    Scale,
    Spec,
    Standardize,
    StandardizeSample,
    normal_form,
)
from normgate.errors import SpecError

RFP1 = Channel(
    name="RFP1",
    input="uint16",
    steps=(
        Clip(low=963, high=9016),
        Rescale(low=963, high=9016),
        Standardize(mean=Decimal("0.485"), std=Decimal("0.229")),
    ),
)
CT = Channel(
    name="CT",
    input="int16",
    steps=(Clip(low=-1000, high=3000), Scale(gain=Decimal("0.00025"), offset=0.25)),
)
EIGHT = Channel(
    name="HALO_MASKED",
    input="uint8",
    steps=(Clip(low=0, high=238), Scale(gain=1, offset=0)),
)
COUNTS = Channel(
    name="IMC",
    input="uint16",
    steps=(Arcsinh(cofactor=5), Standardize(mean=Decimal("1.3"), std=Decimal("0.7"))),
)
FLOAT = Channel(name="X", input="float32", steps=RFP1.steps)
ALL = Mask()
NONZERO = Mask(kind="nonzero")


def above(value: float) -> Mask:
    return Mask(kind="above", value=value)


def standardize_sample(**changes: Any) -> StandardizeSample:
    settled: dict[str, Any] = {
        "scope": "channel",
        "fit_mask": ALL,
        "apply_mask": ALL,
        "outside": "keep",
        "eps": 0,
        "eps_placement": "add",
        "degenerate": "zeros",
        "ddof": 0,
    }
    return StandardizeSample(**(settled | changes))


def rescale_sample(**changes: Any) -> RescaleSample:
    settled: dict[str, Any] = {
        "scope": "channel",
        "fit_mask": ALL,
        "apply_mask": ALL,
        "outside": "keep",
        "eps": 0,
        "eps_placement": "add",
        "degenerate": "zeros",
        "low_percentile": 1,
        "high_percentile": 99,
        "method": "linear",
        "clip": False,
    }
    return RescaleSample(**(settled | changes))


def spec(*channels: Channel) -> Spec:
    return Spec(channels=channels)


def sampled(
    step: Any, name: str = "A", dtype: Any = "uint16", before: Any = ()
) -> Channel:
    return Channel(name=name, input=dtype, steps=(*before, step))


numbers = st.decimals(min_value=-70000, max_value=70000, allow_nan=False, places=3).map(
    Decimal
)
positive = st.decimals(
    min_value=Decimal("0.001"), max_value=5000, allow_nan=False, places=3
)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    low, width = draw(numbers), draw(positive)
    return Clip(low=low, high=low + width)


@st.composite
def rescales(draw: st.DrawFn) -> Rescale:
    low, width = draw(numbers), draw(positive)
    return Rescale(low=low, high=low + width)


steps = st.one_of(
    clips(),
    rescales(),
    st.builds(Standardize, mean=numbers, std=positive),
    st.builds(Scale, gain=positive, offset=numbers),
    st.builds(Scale, gain=positive.map(lambda gain: -gain), offset=numbers),
)


@st.composite
def channels(draw: st.DrawFn, dtype: Any, nonlinear: bool = False) -> Channel:
    """A channel whose steps have a normal form."""
    kinds = (
        st.one_of(steps, st.builds(Arcsinh, cofactor=positive)) if nonlinear else steps
    )
    chosen: tuple[Any, ...] = ()
    for step in draw(st.lists(kinds, max_size=4)):
        longer = Channel(name="A", input=dtype, steps=(*chosen, step))
        try:
            normal_form(longer)
        except SpecError:
            continue
        chosen = longer.steps
    return Channel(name="A", input=dtype, steps=chosen)
