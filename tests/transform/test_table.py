"""The table of a channel, against the definition written out in plain Python."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transform import specs

from normgate.contract import (
    Arcsinh,
    Channel,
    ClampAffine,
    Clip,
    Log1p,
    Scale,
    Standardize,
    normal_form,
)
from normgate.errors import DataError, SpecError
from normgate.transform.table import (
    apply_fixed_float,
    first_value,
    fixed_table,
    table,
)

GOLDEN = {
    "RFP1": "b706a278199d845e843a18373f780c11ff1f9f2db3c7e2fc9e184d685808aeb7",
    "CT": "25ef5be50ec24148c9d4de8e1cafe9e444c968bcd4fc62ebf8041f445c77e0fa",
    "HALO_MASKED": "d177ae13a3fd7f35bbd8dfb046ced9511cc19277e6d1640f08772699f8e0c02a",
    "IMC": "9f9c5314833c0a42b3f790924f34b06b340e2d90ff04d4b303a267ca5befc559",
}
FEW = settings(max_examples=40, deadline=None)


def plain(channel: Channel) -> np.ndarray[Any, Any]:
    """One pixel at a time, in Python's own binary64."""
    limits = np.iinfo(channel.input)
    values = [float(value) for value in range(limits.min, limits.max + 1)]
    for op in normal_form(channel).operations:
        assert isinstance(op, ClampAffine)
        low = -math.inf if op.low is None else float(op.low)
        high = math.inf if op.high is None else float(op.high)
        gain, offset = float(op.gain), float(op.offset)
        values = [min(max(value, low), high) * gain + offset for value in values]
    return np.array([np.float32(value) for value in values])


def same_bits(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> bool:
    return one.dtype == two.dtype and np.array_equal(
        one.view(np.uint32), two.view(np.uint32)
    )


@FEW
@given(st.sampled_from(["uint8", "uint16", "int16"]).flatmap(specs.channels))
def test_a_table_is_the_written_definition(channel: Channel) -> None:
    assert same_bits(table(channel) + np.float32(0), plain(channel) + np.float32(0))


def test_the_plate_channel_has_the_figures_of_its_constants() -> None:
    values = table(specs.RFP1)
    assert values.shape == (65536,)
    assert values[0] == values[963] == np.float32(-0.485 / 0.229)
    assert values[9016] == values[65535] == np.float32((1 - 0.485) / 0.229)


def test_tables_of_known_channels_never_change() -> None:
    channels = (specs.RFP1, specs.CT, specs.EIGHT, specs.COUNTS)
    digests = {c.name: hashlib.sha256(table(c).tobytes()).hexdigest() for c in channels}
    assert digests == GOLDEN


def test_a_channel_without_steps_is_its_values() -> None:
    channel = Channel(name="A", input="int16", steps=())
    assert np.array_equal(table(channel), np.arange(-32768, 32768, dtype=np.float32))
    assert first_value("int16") == -32768


def test_the_table_given_out_is_the_callers_own() -> None:
    table(specs.RFP1)[:] = 0
    assert table(specs.RFP1)[0] < -2


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        pytest.param(
            (Scale(gain=Decimal("1e38"), offset=0),), "beyond float32", id="float32"
        ),
        pytest.param(
            tuple(Scale(gain=Decimal("1e60"), offset=0) for _ in range(6)),
            "beyond binary64",
            id="binary64",
        ),
        pytest.param((specs.standardize_sample(),), "no fixed table", id="per-sample"),
    ],
)
def test_a_table_that_can_not_be_is_refused_by_name(steps: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"channel 'A'.*{message}"):
        table(Channel(name="A", input="uint16", steps=steps))


def test_float32_input_has_no_table() -> None:
    with pytest.raises(SpecError, match="no table"):
        table(specs.FLOAT)


@FEW
@given(specs.channels("float32"), st.integers(0, 2**32 - 1))
def test_float32_pixels_have_the_same_arithmetic(channel: Channel, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 1e4, 300).astype(np.float32)
    y = x.astype(np.float64)
    for op in normal_form(channel).operations:
        assert isinstance(op, ClampAffine)
        y = np.maximum(y, -np.inf if op.low is None else float(op.low))
        y = np.minimum(y, np.inf if op.high is None else float(op.high))
        y = y * float(op.gain) + float(op.offset)
    assert np.array_equal(
        apply_fixed_float(normal_form(channel), x), y.astype(np.float32)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_float_that_is_no_number_is_refused(bad: float) -> None:
    x = np.zeros((3, 4), dtype=np.float32)
    x[1, 2] = bad
    with pytest.raises(DataError, match=r"1 of 12 pixels .* at \(1, 2\)"):
        apply_fixed_float(normal_form(specs.FLOAT), x)


def _true(name: str, value: int) -> float:
    with localcontext() as context:
        context.prec = 60
        x = Decimal(value)
        if name == "log1p":
            return float((1 + x).ln())
        return float((x + (x * x + 1).sqrt()).ln())


@pytest.mark.parametrize("name", ["arcsinh", "log1p"])
def test_a_nonlinear_table_is_the_true_value_rounded(name: str) -> None:
    step = Arcsinh(cofactor=1) if name == "arcsinh" else Log1p()
    affine = Standardize(mean=Decimal("1.37"), std=Decimal("0.81"))
    channel = Channel(name="A", input="uint16", steps=(step, affine))
    after = normal_form(channel).operations[-1]
    assert isinstance(after, ClampAffine)
    gain, offset = float(after.gain), float(after.offset)
    values = table(channel)
    for value in range(0, 65536, 37):
        assert values[value] == np.float32(_true(name, value) * gain + offset)


def test_a_library_that_is_wrong_in_the_last_places_gives_the_same_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = table(specs.COUNTS)
    arcsinh = np.arcsinh
    rng = np.random.default_rng(1)

    def worse(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return arcsinh(x) * (1 + rng.integers(-4, 5, x.shape) * 2.0**-53)

    monkeypatch.setattr(np, "arcsinh", worse)
    fixed_table.cache_clear()
    assert same_bits(table(specs.COUNTS), right)
    fixed_table.cache_clear()


@FEW
@given(specs.channels("uint8", nonlinear=True))
def test_a_nonlinear_table_is_close_to_numpy(channel: Channel) -> None:
    y = np.arange(256, dtype=np.float64)
    for step in normal_form(channel).operations:
        if isinstance(step, ClampAffine):
            low = -np.inf if step.low is None else float(step.low)
            high = np.inf if step.high is None else float(step.high)
            y = np.clip(y, low, high) * float(step.gain) + float(step.offset)
        else:
            y = np.arcsinh(y)
    np.testing.assert_allclose(table(channel), y, rtol=1e-6, atol=1e-6)


def test_a_clip_bound_between_integers_counts() -> None:
    channel = Channel(name="A", input="uint8", steps=(Clip(low=1.5, high=200.25),))
    assert table(channel)[[0, 1, 2, 200, 201]].tolist() == [1.5, 1.5, 2, 200, 200.25]
