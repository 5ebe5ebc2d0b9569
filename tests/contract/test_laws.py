"""Laws of identity: a respelling keeps the digest, a change of meaning changes it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.contract.strategies import fixed_channels, ranges, specs

from normgate.contract import (
    Arcsinh,
    Channel,
    ClampAffine,
    Clip,
    Rescale,
    Scale,
    Spec,
    Standardize,
    channel_digest,
    normal_form,
    parse_spec,
    spec_digest,
    to_json,
)


def respelled(channel: Channel, *steps: object) -> Channel:
    return channel.model_copy(update={"steps": steps})


@given(fixed_channels())
def test_splitting_affine_steps_keeps_the_digest(channel: Channel) -> None:
    steps: list[object] = []
    for step in channel.steps:
        if isinstance(step, Standardize):
            steps += [
                Scale(gain=Decimal(1), offset=-step.mean),
                Standardize(mean=Decimal(0), std=step.std),
            ]
        elif isinstance(step, Rescale):
            steps += [
                Scale(gain=Decimal(1), offset=-step.low),
                Standardize(mean=Decimal(0), std=step.high - step.low),
            ]
        else:
            steps.append(step)
    assert channel_digest(respelled(channel, *steps)) == channel_digest(channel)


@given(ranges())
def test_clip_before_or_after_a_rescale_is_the_same(
    pair: tuple[Decimal, Decimal],
) -> None:
    low, high = pair
    before = Channel(
        name="A",
        input="uint16",
        steps=(Clip(low=low, high=high), Rescale(low=low, high=high)),
    )
    after = respelled(before, Rescale(low=low, high=high), Clip(low=0, high=1))
    assert channel_digest(before) == channel_digest(after)


@given(fixed_channels())
def test_repeating_a_clip_keeps_the_digest(channel: Channel) -> None:
    twice = respelled(channel, channel.steps[0], *channel.steps)
    assert channel_digest(twice) == channel_digest(channel)


@given(fixed_channels())
def test_bounds_beyond_the_dtype_compute_nothing(channel: Channel) -> None:
    wide = Clip(low=Decimal(-70000), high=Decimal(70000))
    assert channel_digest(respelled(channel, wide, *channel.steps)) == channel_digest(
        channel
    )


@given(fixed_channels(), st.integers(0, 65535))
def test_the_normal_form_computes_what_the_steps_compute(
    channel: Channel, value: int
) -> None:
    """Exactly, in rationals: the fold loses nothing."""
    stepwise = Fraction(value)
    for step in channel.steps:
        match step:
            case Clip(low=low, high=high):
                stepwise = min(max(stepwise, Fraction(low)), Fraction(high))
            case Rescale(low=low, high=high):
                stepwise = (stepwise - Fraction(low)) / Fraction(high - low)
            case Standardize(mean=mean, std=std):
                stepwise = (stepwise - Fraction(mean)) / Fraction(std)
            case Scale(gain=gain, offset=offset):
                stepwise = stepwise * Fraction(gain) + Fraction(offset)
    folded = Fraction(value)
    for operation in normal_form(channel).operations:
        assert isinstance(operation, ClampAffine)
        if operation.low is not None:
            folded = max(folded, operation.low)
        if operation.high is not None:
            folded = min(folded, operation.high)
        folded = folded * operation.gain + operation.offset
    assert folded == stepwise


@given(fixed_channels(), st.data())
def test_changing_any_constant_changes_the_digest(
    channel: Channel, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(channel.steps) - 1))
    step = channel.steps[number]
    names = [name for name in type(step).model_fields if name != "kind"]
    name = data.draw(st.sampled_from(names))
    changed = step.model_copy(update={name: getattr(step, name) + Decimal("0.5")})
    values = changed.model_dump()
    assume("low" not in values or values["low"] < values["high"])
    assume(values.get("gain") != 0)
    other = respelled(
        channel, *channel.steps[:number], changed, *channel.steps[number + 1 :]
    )
    assume(_visible(channel) and _visible(other))
    assert channel_digest(other) != channel_digest(channel)


def _visible(channel: Channel) -> bool:
    """Whether both clip bounds lie inside the dtype, so that moving them matters."""
    clip = channel.steps[0]
    assert isinstance(clip, Clip)
    return clip.low > 0 and clip.high < 65535


@given(specs())
def test_a_json_round_trip_keeps_spec_and_digest(spec: Spec) -> None:
    again = parse_spec(to_json(spec))
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)


@given(specs())
def test_the_order_of_channels_is_part_of_the_digest(spec: Spec) -> None:
    assume(len(spec.channels) > 1)
    turned = spec.model_copy(update={"channels": spec.channels[::-1]})
    assert spec_digest(turned) != spec_digest(spec)


@given(specs(), st.data())
def test_changing_a_policy_of_a_per_sample_step_changes_the_digest(
    spec: Spec, data: st.DataObject
) -> None:
    measured = [c for c in spec.channels if hasattr(c.steps[-1], "scope")]
    assume(measured)
    channel = measured[0]
    step = channel.steps[-1]
    field = data.draw(
        st.sampled_from(["scope", "outside", "eps", "eps_placement", "degenerate"])
    )
    swaps = {
        "scope": {"channel": "image", "image": "channel"},
        "outside": {"keep": "zero", "zero": "keep"},
        "eps_placement": {"add": "max", "max": "add"},
        "degenerate": {"zeros": "center", "center": "raise", "raise": "zeros"},
    }
    old = getattr(step, field)
    new = old + 1 if field == "eps" else swaps[field][old]
    other = respelled(
        channel, *channel.steps[:-1], step.model_copy(update={field: new})
    )
    assert channel_digest(other) != channel_digest(channel)


@pytest.mark.parametrize(
    "spelling",
    [963.0, Decimal("963.000"), Decimal("9.63e2"), np.float32(963), np.uint16(963)],
    ids=repr,
)
def test_every_spelling_of_a_number_is_one(spelling: object) -> None:
    channel = Channel(name="A", input="uint16", steps=(Clip(low=spelling, high=9016),))
    plain = Channel(name="A", input="uint16", steps=(Clip(low=963, high=9016),))
    assert channel_digest(channel) == channel_digest(plain)
    assert channel == plain


def test_a_float32_constant_is_read_by_its_shortest_decimal() -> None:
    assert Clip(low=np.float32(0.1), high=1).low == Decimal("0.1")


def test_the_input_dtype_is_part_of_the_digest() -> None:
    wide = Channel(name="A", input="uint16", steps=(Clip(low=3, high=200),))
    narrow = wide.model_copy(update={"input": "uint8"})
    assert channel_digest(wide) != channel_digest(narrow)


def test_a_cofactor_is_one_with_the_scale_before_arcsinh() -> None:
    cofactor = Channel(name="A", input="uint16", steps=(Arcsinh(cofactor=5),))
    scaled = respelled(
        cofactor, Scale(gain=Decimal("0.2"), offset=0), Arcsinh(cofactor=1)
    )
    assert channel_digest(cofactor) == channel_digest(scaled)
