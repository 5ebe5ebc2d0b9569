"""Resize: one set of bits for reference and kernel, and torch's filter."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from normgate.errors import DataError
from normgate.transform.resize import reference_resize, resize, taps

SIZE = st.integers(1, 40)
SHAPES = [(224, 224), (300, 97), (150, 151), (149, 160), (7, 150), (1, 1), (64, 75)]


def image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.integers(1, 3), SIZE, SIZE), st.tuples(SIZE, SIZE))
def test_kernel_and_reference_agree_to_the_bit(
    shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    x = image(shape)
    one, two = resize(x, size), reference_resize(x, size)
    assert np.array_equal(one.view(np.uint32), two.view(np.uint32))
    assert one.shape == (shape[0], *size)


@pytest.mark.parametrize("size", SHAPES)
def test_torch_has_the_same_filter(size: tuple[int, int]) -> None:
    x = image((2, 150, 151))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x)[None].double(), size=size, mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(resize(x, size), expected[0], rtol=0, atol=1e-6)


def test_torch_in_float32_agrees_on_the_sizes_in_use() -> None:
    x = image((2, 96, 96))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x)[None], size=(32, 32), mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(resize(x, (32, 32)), expected[0], rtol=0, atol=1e-5)


def test_the_same_size_is_the_identity() -> None:
    x = image((3, 9, 8))
    for same in (resize(x, (9, 8)), reference_resize(x, (9, 8))):
        assert np.array_equal(same, x)
        assert same is not x


@given(SIZE, SIZE)
def test_weights_are_the_rounded_quotients_and_sum_to_one(old: int, new: int) -> None:
    axis = taps(old, new)
    scale = Fraction(old, new)
    reach = max(scale, Fraction(1))
    for i in range(new):
        center = (i + Fraction(1, 2)) * scale
        inputs = range(axis.starts[i], axis.starts[i] + axis.sizes[i])
        heights = [
            max(1 - abs(j + Fraction(1, 2) - center) / reach, Fraction(0))
            for j in inputs
        ]
        outside = (Fraction(1, 2) + j - center for j in range(old) if j not in inputs)
        assert all(abs(away) >= reach for away in outside)
        found = axis.weights[i, : axis.sizes[i]].tolist()
        assert found == [float(height / sum(heights)) for height in heights]


def test_a_constant_image_stays_that_constant() -> None:
    x = np.full((1, 37, 53), np.float32(-2.117904), dtype=np.float32)
    assert set(resize(x, (11, 64)).ravel().tolist()) == {float(x[0, 0, 0])}


def test_layouts_give_the_same_bits() -> None:
    x = image((2, 40, 50))
    turned = np.ascontiguousarray(x.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert np.array_equal(resize(turned, (13, 17)), resize(x, (13, 17)))


@pytest.mark.parametrize(
    ("x", "size"),
    [
        pytest.param(np.zeros((1, 4, 4), np.uint16), (2, 2), id="raw-counts"),
        pytest.param(np.zeros((4, 4), np.float32), (2, 2), id="no-channels"),
        pytest.param(np.zeros((1, 0, 4), np.float32), (2, 2), id="empty"),
        pytest.param(np.zeros((1, 4, 4), np.float32), (0, 2), id="size-0"),
    ],
)
def test_what_can_not_be_resized_is_refused(
    x: np.ndarray, size: tuple[int, int]
) -> None:
    for function in (resize, reference_resize):
        with pytest.raises(DataError, match="resize"):
            function(x, size)


def test_tables_and_the_reference_need_no_numba_and_no_torch() -> None:
    code = (
        "import sys; import normgate.transform.table, normgate.transform.resize, "
        "normgate.transform.compare; "
        "assert not {'numba', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
