"""Bounds through steps: whatever the picture, its values lie within."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st

from normgate.check.spans import span_of
from normgate.contract import (
    Arcsinh,
    Channel,
    Clip,
    Log1p,
    Mask,
    Rescale,
    RescaleSample,
    Scale,
    Spec,
    Standardize,
    StandardizeSample,
)
from normgate.errors import SpecError
from normgate.transform.reference import normalized

SAMPLE: dict[str, Any] = {
    "scope": "channel", "fit_mask": Mask(kind="all"), "apply_mask": Mask(kind="all"),
    "outside": "keep", "eps": Decimal(0), "eps_placement": "add",
    "degenerate": "zeros",
}  # fmt: skip
NUMBERS = st.integers(-300, 300).map(lambda n: Decimal(n) / 4)
PAIRS = st.tuples(NUMBERS, NUMBERS).filter(lambda p: p[0] < p[1])
STEPS = st.lists(
    st.one_of(
        PAIRS.map(lambda p: Clip(low=p[0], high=p[1])),
        PAIRS.map(lambda p: Rescale(low=p[0], high=p[1])),
        st.tuples(NUMBERS, st.integers(1, 50)).map(
            lambda p: Standardize(mean=p[0], std=Decimal(p[1]))
        ),
        st.tuples(NUMBERS.filter(bool), NUMBERS).map(
            lambda p: Scale(gain=p[0], offset=p[1])
        ),
        st.just(Arcsinh(cofactor=Decimal(5))),
    ),
    max_size=4,
)


@given(STEPS, st.lists(st.integers(0, 255), min_size=1, max_size=20))
def test_values_lie_within_the_bounds(steps: list[Any], counts: list[int]) -> None:
    span = span_of(steps, (0.0, 255.0))
    plane = np.array([counts], dtype=np.uint8)
    channel = Channel(name="A", input="uint8", steps=tuple(steps))
    try:
        found = normalized(Spec(channels=(channel,)), [plane])
    except SpecError:  # Nothing is left of the channel, or the steps overflow.
        reject()
    slack = 1e-5 * max(1.0, abs(span.low), abs(span.high))
    assert found.min() >= span.low - slack
    assert found.max() <= span.high + slack


def test_bounds_of_what_measures_each_picture() -> None:
    centred = span_of([StandardizeSample(**SAMPLE, ddof=0)], (0.0, 255.0))
    assert centred.centred
    assert span_of([Log1p()], (0.0, 255.0)).high == np.log1p(255.0)
    whole = RescaleSample(
        **SAMPLE, low_percentile=Decimal(0), high_percentile=Decimal(100),
        method="linear", clip=False,
    )  # fmt: skip
    assert (span_of([whole], (0, 9)).low, span_of([whole], (0, 9)).high) == (0, 1)
    part = whole.model_copy(update={"high_percentile": Decimal(99)})
    assert span_of([part], (0, 9)).high == np.inf
