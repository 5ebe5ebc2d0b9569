"""What the compiled loops promise: no fused instructions, whatever the CPU offers."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from normgate.transform import kernels

F4, F8 = numba.float32, numba.float64
SIGNATURES = {
    "clamp_affine": (numba.uint16[::1], F4[::1], F8, F8, F8, F8),
    "lane_sums": (F8[::1], F8),
    "shrink_rows": (
        F4[:, ::1],
        F8[:, ::1],
        numba.int64[::1],
        numba.int64[::1],
        F8[:, ::1],
    ),
    "shrink_columns": (
        F8[:, ::1],
        F4[:, ::1],
        numba.int64[::1],
        numba.int64[::1],
        F8[:, ::1],
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_no_kernel_fuses_multiply_and_add(name: str) -> None:
    function: Any = getattr(kernels, name)
    assert not function.targetoptions.get("fastmath")
    options = {"nogil": True, "error_model": "numpy"}
    fresh = numba.njit(SIGNATURES[name], **options)(function.py_func)
    for code in fresh.inspect_asm().values():
        assert "fmadd" not in code
        assert "fmla" not in code


def test_a_fused_product_would_be_seen() -> None:
    """The test's own test: here a fused multiply-add gives another float."""
    x, gain = np.array([3], np.uint16), 1 / 3
    out = np.empty(1, np.float32)
    kernels.clamp_affine(x, out, -np.inf, np.inf, gain, -1.0)
    assert out[0] == np.float32(3 * gain - 1.0) == 0


def test_finite_numbers_are_told_from_others() -> None:
    x = np.array([0, -0.0, 3.4e38, -1e-45], dtype=np.float32)
    assert kernels.all_finite(x)
    for bad in (np.nan, np.inf, -np.inf):
        assert not kernels.all_finite(np.append(x, np.float32(bad)))


def test_large_images_are_counted_as_small_ones() -> None:
    x = np.random.default_rng(0).integers(-99, 99, (1 << 17) + 3).astype(np.int16)
    counts = np.zeros(65536, dtype=np.int64)
    kernels.count(x, counts, -32768)
    expected = np.bincount(x.astype(np.int64) + 32768, minlength=65536)
    assert np.array_equal(counts, expected)


def test_sums_by_lanes_are_the_written_order() -> None:
    x = np.random.default_rng(0).normal(size=1003)
    lanes = [[0.0, 0.0] for _ in range(kernels.LANES)]
    for i, value in enumerate(x - 0.25):
        lanes[i % kernels.LANES][0] += value
        lanes[i % kernels.LANES][1] += value * value
    one = two = 0.0
    for lane in lanes:
        one, two = one + lane[0], two + lane[1]
    assert kernels.lane_sums(x, 0.25) == (one, two)
