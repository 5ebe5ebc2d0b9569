"""Steps that measure each sample, against the formula written out in NumPy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transform import specs
from tests.transform.specs import NONZERO, above, rescale_sample, sampled

from normgate.contract import Arcsinh, Clip, Mask, Scale
from normgate.errors import DataError, SpecError
from normgate.transform import apply
from normgate.transform.apply import Normalizer

OPTIONS = {
    "fit_mask": [specs.ALL, NONZERO, above(2000)],
    "apply_mask": [specs.ALL, NONZERO, above(2000)],
    "outside": ["keep", "zero"],
    "eps": [0, Decimal("1e-6"), 3],
    "eps_placement": ["add", "max"],
}


def counts(seed: int = 0, shape: Any = (37, 41), dtype: Any = np.uint16) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.gamma(1.5, 2000, shape)
    x[rng.random(shape) < 0.2] = 0
    return np.clip(x, 0, np.iinfo(dtype).max).astype(dtype)


def inside(mask: Mask, x: Any) -> Any:
    if mask.kind == "all":
        return np.ones(x.shape, bool)
    return x != 0 if mask.kind == "nonzero" else x > float(mask.value or 0)


def written(step: Any, x: Any) -> Any:
    """The formula of a step on one channel in float64."""
    x = x.astype(np.float64)
    fit = x[inside(step.fit_mask, x)]
    if step.kind == "standardize_sample":
        center, spread = fit.mean(), fit.std(ddof=step.ddof)
    else:
        q = [float(step.low_percentile), float(step.high_percentile)]
        center, high = np.percentile(fit, q, method=step.method)
        spread = high - center
    eps = float(step.eps)
    divisor = spread + eps if step.eps_placement == "add" else max(spread, eps)
    y = (x - center) / divisor
    if step.kind == "rescale_sample" and step.clip:
        y = y.clip(0, 1)
    outside = x if step.outside == "keep" else 0
    return np.where(inside(step.apply_mask, x), y, outside)


@st.composite
def sample_steps(draw: st.DrawFn) -> Any:
    chosen = {key: draw(st.sampled_from(values)) for key, values in OPTIONS.items()}
    if draw(st.booleans()):
        return specs.standardize_sample(ddof=draw(st.sampled_from([0, 1])), **chosen)
    low, high = draw(st.sampled_from([(0, 100), (1, 99), (Decimal("0.5"), 75)]))
    return rescale_sample(
        low_percentile=low,
        high_percentile=high,
        method=draw(st.sampled_from(["linear", "inverted_cdf"])),
        clip=draw(st.booleans()),
        **chosen,
    )


@settings(max_examples=120, deadline=None)
@given(sample_steps(), st.sampled_from(["uint16", "int16", "float32"]))
def test_every_option_computes_its_formula(step: Any, dtype: Any) -> None:
    x = counts().astype(dtype)
    result = Normalizer(specs.spec(sampled(step, dtype=dtype)))([x])[0]
    np.testing.assert_allclose(result, written(step, x), rtol=1e-6, atol=1e-6)


def test_integer_statistics_are_exact_whatever_the_size() -> None:
    x = np.full((300, 301), 65535, dtype=np.uint16)
    x[0, 0] = 65534
    result = Normalizer(specs.spec(sampled(specs.standardize_sample())))([x])[0]
    n = x.size
    one, two = n * 65535 - 1, (n - 1) * 65535**2 + 65534**2
    mean, std = one / n, ((n * two - one * one) / (n * n)) ** 0.5
    expected = (x.astype(np.float64) - mean) / std
    assert np.array_equal(result, expected.astype(np.float32))


@pytest.mark.parametrize(
    "step", [specs.standardize_sample(fit_mask=NONZERO), rescale_sample()]
)
def test_order_and_threads_do_not_change_a_bit(
    step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "SMALLEST_BLOCK", 100)
    x = counts()
    order = np.random.default_rng(1).permutation(x.size)
    spec = specs.spec(sampled(step, before=(Scale(gain=Decimal("0.1"), offset=3),)))
    whole = Normalizer(spec)([x])[0]
    mixed = Normalizer(spec, threads=3)([x.ravel()[order]])[0]
    assert np.array_equal(mixed, whole.ravel()[order])


def test_a_ct_volume_is_standardized_as_its_authors_wrote() -> None:
    x = (counts(shape=(5, 30, 31)).astype(np.int32) - 1500).astype(np.int16)
    step = specs.standardize_sample(fit_mask=above(-900))
    channel = sampled(step, "CT", "int16", (Clip(low=-1000, high=1000),))
    y = np.clip(x, -1000, 1000).astype(np.float64)
    kept = y[y > -900]
    expected = ((y - kept.mean()) / kept.std()).astype(np.float32)
    np.testing.assert_array_max_ulp(
        Normalizer(specs.spec(channel))([x])[0], expected, 1
    )


def test_steps_before_and_after_a_measured_one_keep_their_places() -> None:
    x = counts()
    channel = sampled(specs.standardize_sample(), before=(Arcsinh(cofactor=5),))
    tail = Clip(low=-1, high=2), Scale(gain=10, offset=1)
    channel = channel.model_copy(update={"steps": (*channel.steps, *tail)})
    y = np.arcsinh(x / 5)
    expected = ((y - y.mean()) / y.std()).clip(-1, 2) * 10 + 1
    result = Normalizer(specs.spec(channel))([x])[0]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "dtypes", [("uint16",) * 2, ("float32",) * 2, ("uint8", "float32")]
)
def test_scope_image_measures_all_channels_together(dtypes: Any) -> None:
    x = [counts(1).clip(0, 255).astype(dtypes[0]), counts(2).astype(dtypes[1])]
    together = np.stack([plane.astype(np.float64) for plane in x])
    for step in (
        specs.standardize_sample(scope="image", ddof=1),
        rescale_sample(scope="image"),
    ):
        channels = [sampled(step, n, d) for n, d in zip("AB", dtypes, strict=True)]
        result = Normalizer(specs.spec(*channels))(x)
        np.testing.assert_allclose(
            result, written(step, together), rtol=1e-5, atol=1e-6
        )


def test_measured_and_fixed_channels_stand_together() -> None:
    x = counts()
    alone = Normalizer(specs.spec(specs.RFP1))([x])[0]
    spec = specs.spec(sampled(specs.standardize_sample()), specs.RFP1)
    result = Normalizer(spec)([x, x])
    assert np.array_equal(result[1], alone)
    assert abs(result[0].mean(dtype=np.float64)) < 1e-6


def test_a_scope_image_step_must_be_the_same_in_every_channel() -> None:
    one = sampled(specs.standardize_sample(scope="image"), "A")
    two = sampled(specs.standardize_sample(scope="image", ddof=1), "B")
    with pytest.raises(
        SpecError, match="'A' and 'B' differ in a step of scope 'image'"
    ):
        Normalizer(specs.spec(one, two))
    with pytest.raises(SpecError, match="'RFP1' and 'A' differ"):
        Normalizer(specs.spec(specs.RFP1, one))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_a_sample_without_spread_does_what_its_step_says(dtype: Any, ddof: int) -> None:
    flat, zero = np.full((4, 4), 7, dtype), np.zeros((4, 4), dtype)
    for make in (lambda **o: specs.standardize_sample(ddof=ddof, **o), rescale_sample):
        zeros = specs.spec(sampled(make(), dtype=dtype))
        assert not Normalizer(zeros)([flat]).any()
        center = specs.spec(sampled(make(degenerate="center"), dtype=dtype))
        assert not Normalizer(center)([flat]).any()
        empty = make(degenerate="center", fit_mask=above(9))
        assert (Normalizer(specs.spec(sampled(empty, dtype=dtype)))([flat]) == 7).all()
        refuse = specs.spec(sampled(make(degenerate="raise"), dtype=dtype))
        with pytest.raises(DataError, match=r"channel 'A': step .* no spread"):
            Normalizer(refuse)([zero])


def test_one_pixel_has_no_standard_deviation_with_ddof_1() -> None:
    step = specs.standardize_sample(ddof=1, degenerate="raise", eps=1)
    for dtype in ("uint16", "float32"):
        with pytest.raises(DataError, match="no spread"):
            Normalizer(specs.spec(sampled(step, dtype=dtype)))([np.ones((1, 1), dtype)])


def test_a_float_sample_with_a_nan_is_refused_by_channel() -> None:
    x = np.full((2, 2), np.nan, np.float32)
    spec = specs.spec(sampled(specs.standardize_sample(), "F", "float32"))
    with pytest.raises(DataError, match="channel 'F': 4 of 4 pixels are NaN"):
        Normalizer(spec)([x])
