"""The Normalizer: every path gives the table's bits, and bad input is named."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transform import specs

from normgate.contract import Channel, Standardize
from normgate.errors import DataError, SpecError
from normgate.transform import apply, channel, kernels
from normgate.transform.apply import Normalizer
from normgate.transform.table import first_value, table

INTEGERS = st.sampled_from(["uint8", "uint16", "int16"])


def every(dtype: Any) -> np.ndarray[Any, Any]:
    """Every value of a dtype, mixed, as an image."""
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1).astype(dtype)
    return np.random.default_rng(0).permutation(values).reshape(16, -1)


def same_bits(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> bool:
    return np.array_equal(one.view(np.uint32), two.view(np.uint32))


@settings(max_examples=150, deadline=None)
@given(INTEGERS.flatmap(specs.channels))
def test_every_value_of_any_integer_channel_has_the_tables_bits(
    channel: Channel,
) -> None:
    image = every(channel.input)
    expected = table(channel)[image.astype(np.int64) - first_value(channel.input)]
    assert same_bits(Normalizer(specs.spec(channel))([image])[0], expected)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["uint8", "uint16"]), st.data())
def test_nonlinear_channels_go_through_the_table(
    dtype: Any, data: st.DataObject
) -> None:
    one = data.draw(specs.channels(dtype, nonlinear=True))
    image = every(dtype)
    assert same_bits(Normalizer(specs.spec(one))([image])[0], table(one)[image])


@settings(max_examples=40, deadline=None)
@given(INTEGERS.flatmap(specs.channels))
def test_the_kernel_alone_has_the_tables_bits(one: Channel) -> None:
    assert isinstance(
        channel.channel_apply(apply.normal_form(one)), channel._ClampAffine
    )


def test_a_kernel_that_disagrees_gives_way_to_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def single(
        x: Any, out: Any, low: float, high: float, gain: float, add: float
    ) -> None:
        out[:] = np.clip(x.astype("f4"), low, high) * np.float32(gain) + np.float32(add)

    monkeypatch.setattr(kernels, "clamp_affine", single)
    normalizer = Normalizer(specs.spec(specs.RFP1))
    assert isinstance(normalizer._fixed[0], channel.Gather)
    image = every("uint16")
    assert same_bits(normalizer([image])[0], table(specs.RFP1)[image])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_layouts_and_byte_orders_do_not_change_a_bit(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "SMALLEST_BLOCK", 100)
    image = np.random.default_rng(1).integers(0, 65536, (31, 77), dtype=np.uint16)
    two = specs.RFP1.model_copy(update={"name": "B"})
    normalizer = Normalizer(specs.spec(specs.RFP1, two), threads=threads)
    expected = np.stack([table(specs.RFP1)[image]] * 2)
    swapped = image.astype(">u2")
    striped = np.repeat(image, 2, axis=1)[:, ::2]
    for planes in ([image, image], [swapped, striped], np.stack([image, image])):
        assert same_bits(normalizer(planes), expected)


def test_it_writes_into_out_and_leaves_its_input_alone() -> None:
    image = every("uint16")
    before, out = image.copy(), np.empty((1, *image.shape), dtype=np.float32)
    assert Normalizer(specs.spec(specs.RFP1))([image], out) is out
    assert np.array_equal(image, before)
    assert np.array_equal(out[0], table(specs.RFP1)[image])


def test_mixed_dtypes_are_bound_by_position_of_the_spec() -> None:
    small = np.arange(16, dtype=np.uint8).reshape(4, 4)
    planes = [small.astype(np.uint16) * 700, small, small.astype(np.int16) - 5]
    result = Normalizer(specs.spec(specs.RFP1, specs.EIGHT, specs.CT))(planes)
    assert np.array_equal(result[1], table(specs.EIGHT)[small])
    assert np.array_equal(result[2], table(specs.CT)[planes[2].astype(int) + 32768])


def test_a_volume_and_an_empty_image_are_images_too() -> None:
    normalizer = Normalizer(specs.spec(specs.RFP1))
    assert normalizer([np.zeros((3, 4, 5), np.uint16)]).shape == (1, 3, 4, 5)
    assert normalizer([np.zeros((0, 4), np.uint16)]).shape == (1, 0, 4)


def test_float32_pixels_are_normalized_and_checked() -> None:
    normalizer = Normalizer(specs.spec(specs.FLOAT))
    image = np.linspace(-100, 20000, 1000, dtype=np.float32).reshape(10, 100)
    whole = np.arange(0, 20000, 20, dtype=np.uint16)
    assert np.array_equal(
        normalizer([whole.astype(np.float32)])[0], table(specs.RFP1)[whole]
    )
    image[3, 7] = np.nan
    with pytest.raises(DataError, match="channel 'X': 1 of 1000 pixels are NaN"):
        normalizer([image])


def test_float32_through_arcsinh_is_within_one_unit_in_the_last_place() -> None:
    one = Channel(name="X", input="float32", steps=specs.COUNTS.steps)
    x = np.random.default_rng(0).gamma(1, 50, 5000).astype(np.float32)
    wide = (np.arcsinh(x.astype(np.longdouble) / 5) - 1.3) / 0.7
    np.testing.assert_array_max_ulp(
        Normalizer(specs.spec(one))([x])[0], wide.astype(np.float32), maxulp=1
    )


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        pytest.param(
            [np.zeros((2, 2), np.uint8)],
            "channel 'RFP1' found uint8 pixels, expected uint16 raw counts",
            id="narrower",
        ),
        pytest.param(
            [np.zeros((2, 2), np.float32)], "found float32 pixels", id="normalized"
        ),
        pytest.param([], "found 0 planes, expected 1: RFP1", id="none"),
        pytest.param(
            [np.zeros((2, 2), np.uint16)] * 2, "found 2 planes", id="too-many"
        ),
    ],
)
def test_planes_that_the_spec_does_not_take_are_refused(
    planes: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Normalizer(specs.spec(specs.RFP1))(planes)


def test_planes_of_two_shapes_are_refused() -> None:
    two = specs.RFP1.model_copy(update={"name": "B"})
    planes = [np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint16)]
    with pytest.raises(DataError, match=r"channel 'B' has shape \(2, 3\)"):
        Normalizer(specs.spec(specs.RFP1, two))(planes)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, 2, 3), np.float32),
        np.empty((1, 2, 2), np.float64),
        np.empty((1, 2, 4), np.float32)[:, :, ::2],
    ],
    ids=["shape", "dtype", "stripes"],
)
def test_an_out_of_another_kind_is_refused(out: Any) -> None:
    with pytest.raises(DataError, match="expected contiguous float32"):
        Normalizer(specs.spec(specs.RFP1))([np.zeros((2, 2), np.uint16)], out)


def test_constants_out_of_range_are_refused_with_the_channel() -> None:
    steps = (Standardize(mean=0, std=specs.Decimal("1e-60")),)
    with pytest.raises(
        SpecError, match="channel 'A': intensity 1 gives a value beyond"
    ):
        Normalizer(specs.spec(Channel(name="A", input="uint16", steps=steps)))


def test_it_travels_to_another_process() -> None:
    image = every("uint16")
    normalizer = Normalizer(specs.spec(specs.RFP1, specs.COUNTS))
    again = pickle.loads(pickle.dumps(normalizer))
    assert same_bits(again([image, image]), normalizer([image, image]))
