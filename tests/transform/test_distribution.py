"""A distribution says what NumPy says of the pixels themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.cli.command import RIGHT

from normgate.contract import read_spec
from normgate.errors import DataError
from normgate.transform.distribution import Distribution
from normgate.transform.histogram import FloatHistogram, IntegerHistogram
from normgate.transform.table import table

COUNTS = arrays.arrays(np.uint16, st.integers(1, 200), elements=st.integers(0, 65535))
FLOATS = arrays.arrays(
    np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32)
)


def counted(pixels: np.ndarray) -> Distribution:
    histogram = IntegerHistogram("uint16")
    histogram.add(pixels)
    return Distribution.of(histogram)


@given(pixels=COUNTS, at=st.integers(0, 65535), percent=st.floats(0, 100))
def test_whole_counts_are_exact(pixels: np.ndarray, at: int, percent: float) -> None:
    found = counted(pixels)
    assert found.total == pixels.size
    assert (found.low, found.high) == (pixels.min(), pixels.max())
    assert found.mean == pytest.approx(pixels.mean())
    assert found.std == pytest.approx(pixels.std(), abs=1e-6)
    assert found.below(at) == pytest.approx(np.mean(pixels < at))
    assert found.below(at) + found.share(at) + found.above(at) == pytest.approx(1)
    assert np.mean(pixels <= found.percentile(percent)) >= percent / 100 - 1e-9
    value, share = found.most_common
    assert share == pytest.approx(np.mean(pixels == value))


@given(pixels=COUNTS)
def test_a_fixed_channel_gives_its_tables_values(pixels: np.ndarray) -> None:
    channel = read_spec(Path(RIGHT)).channels[0]
    after = counted(pixels).through(channel)
    expected = table(channel)[pixels]
    assert after.total == pixels.size
    np.testing.assert_array_equal(after.values, np.unique(expected))
    assert after.mean == pytest.approx(expected.mean(), abs=1e-4)


@given(pixels=FLOATS)
def test_floats_are_within_one_percent(pixels: np.ndarray) -> None:
    histogram = FloatHistogram()
    histogram.add(pixels)
    found = Distribution.of(histogram)
    assert found.total == pixels.size
    assert (np.diff(found.values) > 0).all()
    assert found.low == pytest.approx(float(pixels.min()), rel=0.01, abs=1e-37)
    assert found.high == pytest.approx(float(pixels.max()), rel=0.01, abs=1e-37)


def test_no_pixel_is_no_distribution() -> None:
    with pytest.raises(DataError, match="no pixel was counted"):
        Distribution.of(FloatHistogram())
