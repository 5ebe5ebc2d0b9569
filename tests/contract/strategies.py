"""Random valid channels and specs, for laws."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from normgate.contract import (
    Channel,
    Clip,
    Mask,
    Rescale,
    RescaleSample,
    Scale,
    Spec,
    Standardize,
    StandardizeSample,
)


def decimals(low: int, high: int, places: int = 3) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, high, places=places, allow_nan=False, allow_infinity=False)


nonzero = decimals(-50, 50).filter(lambda value: abs(value) > Decimal("0.01"))
positive = decimals(0, 50).filter(lambda value: value > Decimal("0.01"))


@st.composite
def ranges(draw: st.DrawFn) -> tuple[Decimal, Decimal]:
    low = draw(decimals(0, 30000))
    return low, low + draw(decimals(1, 30000))


affine_steps = st.one_of(
    ranges().map(lambda pair: Rescale(low=pair[0], high=pair[1])),
    st.builds(Standardize, mean=decimals(-9, 9), std=positive),
    st.builds(Scale, gain=nonzero, offset=decimals(-9, 9)),
)


@st.composite
def fixed_channels(draw: st.DrawFn, name: str = "A") -> Channel:
    """Clip once on raw counts, then any affine steps."""
    low, high = draw(ranges())
    tail = draw(st.lists(affine_steps, max_size=4))
    return Channel(name=name, input="uint16", steps=(Clip(low=low, high=high), *tail))


masks = st.one_of(
    st.sampled_from([Mask(), Mask(kind="nonzero")]),
    st.builds(Mask, kind=st.just("above"), value=decimals(-900, 900)),
)
shared = {
    "scope": st.sampled_from(["channel", "image"]),
    "fit_mask": masks,
    "apply_mask": masks,
    "outside": st.sampled_from(["keep", "zero"]),
    "eps": decimals(0, 1, 6),
    "eps_placement": st.sampled_from(["add", "max"]),
    "degenerate": st.sampled_from(["zeros", "center", "raise"]),
}
sample_steps = st.one_of(
    st.builds(StandardizeSample, ddof=st.sampled_from([0, 1]), **shared),
    st.builds(
        RescaleSample,
        low_percentile=decimals(0, 40),
        high_percentile=decimals(60, 100),
        method=st.sampled_from(["linear", "inverted_cdf"]),
        clip=st.booleans(),
        **shared,
    ),
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    count = draw(st.integers(1, 4))
    channels = []
    for index in range(count):
        channel = draw(fixed_channels(name=f"M{index}"))
        extra = draw(st.lists(sample_steps, max_size=1))
        steps = (*channel.steps, *extra)
        channels.append(Channel(name=channel.name, input="uint16", steps=steps))
    return Spec(channels=tuple(channels))
