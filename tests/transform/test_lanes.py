"""Sums in a fixed order have the same bits with Numba and without."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from normgate.transform import kernels
from normgate.transform.lanes import lane_sums, reference_lane_sums

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 63, 64, 1000, 100_003])
def test_numpy_and_the_compiled_loop_agree_to_the_bit(size: int) -> None:
    x = RNG.normal(0, 1e3, size) * 10.0 ** RNG.integers(-8, 8, size)
    for center in (0.0, -3.7e5, float(RNG.normal())):
        assert reference_lane_sums(x, center) == kernels.lane_sums(x, center)
        assert lane_sums(x, center) == kernels.lane_sums(x, center)


def test_without_numba_the_sums_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    x = RNG.normal(0, 1, 1001)
    compiled = lane_sums(x, 0.25)
    monkeypatch.delattr("normgate.transform.kernels", raising=False)
    monkeypatch.setitem(sys.modules, "normgate.transform.kernels", None)
    assert lane_sums(x, 0.25) == compiled


def test_the_order_decides_the_bits() -> None:
    """The test's own test: another order of the same values gives another sum."""
    x = RNG.normal(0, 1, 1001)
    assert reference_lane_sums(x[::-1].copy(), 0.0) != reference_lane_sums(x, 0.0)
