"""Exact statistics: numpy's figures on all pixels together, however shared out."""

from __future__ import annotations

import math
import tracemalloc
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from normgate.errors import DataError
from normgate.transform.estimates import inverted_cdf_rank
from normgate.transform.histogram import (
    FineHistogram,
    FloatHistogram,
    IntegerHistogram,
)

Q = [0, 0.001, 0.5, 1, 25, 49.99, 50, 50.01, 75, 99, 99.9, 100]
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
LISTS = settings(max_examples=150, deadline=None)


def integer(parts: Any, dtype: Any) -> IntegerHistogram:
    histogram = IntegerHistogram(dtype)
    for part in parts:
        histogram.add(part)
    return histogram


def fine(parts: Any, percentiles: Any = Q) -> FineHistogram:
    first = FloatHistogram()
    for part in parts:
        first.add(part)
    second = first.fine(percentiles)
    for part in parts:
        second.add(part)
    return second


def exact_std(values: Any, ddof: int) -> float:
    numbers = [Fraction(value) for value in values.tolist()]
    mean = sum(numbers) / len(numbers)
    variance = sum((n - mean) ** 2 for n in numbers) / (len(numbers) - ddof)
    return math.sqrt(float(variance))


@LISTS
@given(
    st.sampled_from(["uint8", "uint16"]).flatmap(
        lambda dtype: hnp.arrays(dtype, st.integers(1, 60))
    ),
    st.lists(st.floats(0, 100), min_size=1, max_size=5),
)
def test_integer_percentiles_are_numpys_to_the_bit(x: Any, percentiles: Any) -> None:
    found = integer([x], x.dtype.name).percentile(percentiles)
    assert np.array_equal(found, np.percentile(x, percentiles))


@LISTS
@given(hnp.arrays(np.int16, st.integers(1, 60)))
def test_int16_percentiles_are_numpys_where_numpy_does_not_wrap(x: Any) -> None:
    found = integer([x], "int16").percentile(Q)
    assert np.array_equal(found, np.percentile(x.astype(np.int64), Q))


@LISTS
@given(hnp.arrays(np.float32, st.integers(1, 60), elements=FINITE))
def test_float_percentiles_are_numpys_to_the_bit(x: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.percentile(x, Q)
    found = fine([x]).percentile(Q)
    known = np.isfinite(expected)
    assert np.array_equal(found[known], expected[known])
    assert np.isfinite(found).all()


def test_many_pixels_of_a_real_shape_agree_too() -> None:
    rng = np.random.default_rng(3)
    x = rng.gamma(2, 700, (3, 200, 301))
    counts, floats = x.astype(np.uint16), (x - 900).astype(np.float32)
    assert np.array_equal(
        integer(counts, "uint16").percentile(Q), np.percentile(counts, Q)
    )
    assert np.array_equal(fine(floats).percentile(Q), np.percentile(floats, Q))
    assert integer(counts, "uint16").percentile(50).shape == ()


@LISTS
@given(
    hnp.arrays(np.float32, st.integers(2, 30), elements=FINITE), st.sampled_from([0, 1])
)
def test_float_mean_and_std_are_exact_and_rounded_once(x: Any, ddof: int) -> None:
    histogram = FloatHistogram()
    histogram.add(x)
    assert histogram.mean == float(sum(map(Fraction, x.tolist())) / x.size)
    assert histogram.std(ddof) == exact_std(x, ddof)


@LISTS
@given(hnp.arrays(np.int16, st.integers(2, 30)), st.sampled_from([0, 1]))
def test_integer_mean_and_std_are_exact_and_rounded_once(x: Any, ddof: int) -> None:
    histogram = integer([x], "int16")
    assert histogram.mean == int(x.sum(dtype=np.int64)) / x.size
    assert histogram.std(ddof) == exact_std(x, ddof)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 6))
def test_order_and_shards_do_not_matter(order: list[int], cut: int) -> None:
    rng = np.random.default_rng(0)
    floats = list(rng.normal(size=(6, 11, 13)).astype(np.float32))
    counts = [(part * 900 + 5000).astype(np.uint16) for part in floats]
    shards = [order[:cut], order[cut:]]
    one, two = (integer([counts[i] for i in shard], "uint16") for shard in shards)
    one.merge(two)
    assert np.array_equal(one.counts, integer(counts, "uint16").counts)
    first, second = FloatHistogram(), FloatHistogram()
    for histogram, shard in zip((first, second), shards, strict=True):
        for i in shard:
            histogram.add(floats[i])
    first.merge(second)
    left, right = first.fine(Q), first.fine(Q)
    for histogram, shard in zip((left, right), shards, strict=True):
        for i in shard:
            histogram.add(floats[i])
    left.merge(right)
    assert np.array_equal(left.percentile(Q), np.percentile(floats, Q))
    assert (first.mean, first.std(1)) == _moments(floats)


def _moments(floats: list[Any]) -> tuple[float, float]:
    histogram = FloatHistogram()
    for part in floats:
        histogram.add(part)
    return histogram.mean, histogram.std(1)


def test_only_masked_pixels_count() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 65536, (40, 50), dtype=np.uint16)
    mask = x > 30000
    histogram = IntegerHistogram("uint16")
    histogram.add(x, mask)
    assert histogram.total == mask.sum()
    assert np.array_equal(histogram.percentile(Q), np.percentile(x[mask], Q))
    floats = x.astype(np.float32) / 7
    first = FloatHistogram()
    first.add(floats, mask)
    second = first.fine(Q)
    second.add(floats, mask)
    assert np.array_equal(second.percentile(Q), np.percentile(floats[mask], Q))


def test_a_histogram_survives_its_file() -> None:
    x = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    counts = integer([(x * 100).astype(np.int16)], "int16")
    again = IntegerHistogram.from_bytes(counts.to_bytes())
    assert again.input_type == "int16"
    assert np.array_equal(again.counts, counts.counts)
    first = FloatHistogram()
    first.add(x)
    first = FloatHistogram.from_bytes(first.to_bytes())
    second = first.fine(Q)
    second.add(x)
    second = FineHistogram.from_bytes(second.to_bytes())
    assert np.array_equal(second.percentile(Q), np.percentile(x, Q))
    with pytest.raises(DataError, match="not a saved histogram"):
        IntegerHistogram.from_bytes(first.to_bytes())
    with pytest.raises(DataError, match="not a saved histogram"):
        FloatHistogram.from_bytes(b"PK")


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    x = np.random.default_rng(0).integers(0, 65536, (512, 512), dtype=np.uint16)
    histogram = integer([x], "uint16")
    tracemalloc.start()
    for _ in range(20):
        histogram.add(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 1024 * 1024
    assert histogram.total == 21 * x.size


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_with_a_pixel_that_is_no_number_does_not_count(bad: float) -> None:
    histogram = FloatHistogram()
    histogram.add(np.ones(5, np.float32))
    with pytest.raises(DataError, match="1 of 3 pixels are NaN or infinite"):
        histogram.add(np.array([1, bad, 2], np.float32))
    assert (histogram.total, histogram.mean) == (5, 1.0)


def test_what_is_undefined_is_refused() -> None:
    empty = IntegerHistogram("uint8")
    for ask in (lambda: empty.percentile(1), lambda: empty.mean):
        with pytest.raises(DataError, match="no pixel was counted"):
            ask()
    empty.add(np.zeros(1, np.uint8))
    with pytest.raises(DataError, match="1 pixels were counted, expected more"):
        empty.std(1)
    with pytest.raises(DataError, match=r"must lie within 0\.\.100"):
        empty.percentile([101])


def test_what_does_not_belong_together_is_refused() -> None:
    histogram = IntegerHistogram("uint16")
    with pytest.raises(DataError, match="found uint8 pixels, expected uint16"):
        histogram.add(np.zeros(3, np.uint8))
    with pytest.raises(DataError, match="found a mask of bool"):
        histogram.add(np.zeros(3, np.uint16), np.ones(2, bool))
    with pytest.raises(DataError, match="can't merge a histogram of int16"):
        histogram.merge(IntegerHistogram("int16"))
    x = np.arange(9, dtype=np.float32)
    with pytest.raises(DataError, match="not begun for this percentile"):
        fine([x], [0]).percentile([100])
    with pytest.raises(DataError, match="belong to different first passes"):
        fine([x]).merge(fine([x + 1]))
    first = FloatHistogram()
    first.add(x)
    with pytest.raises(DataError, match="not seen the same pixels"):
        first.fine([50]).percentile([50])
    spread = (2.0 ** np.arange(-120, 120)).astype(np.float32)
    first.add(np.concatenate([spread, -spread]))
    with pytest.raises(DataError, match="ask for fewer percentiles"):
        first.fine(np.linspace(0, 100, 1000).tolist())


@LISTS
@given(hnp.arrays(np.uint16, st.integers(1, 60)), st.floats(0, 100))
def test_the_inverted_distribution_is_numpys(x: Any, percentile: float) -> None:
    rank = inverted_cdf_rank(x.size, [percentile])
    expected = np.percentile(x, [percentile], method="inverted_cdf")
    assert np.sort(x)[rank] == expected


def test_a_standard_deviation_is_right_where_float64_cancels() -> None:
    x = np.full(1000, 16_777_214, dtype=np.float32)
    x[::2] += 1
    histogram = FloatHistogram()
    histogram.add(x)
    with localcontext() as context:
        context.prec = 40
        assert histogram.std() == float(Decimal("0.25").sqrt()) == 0.5
