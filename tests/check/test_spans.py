"""Bounds through steps: whatever the picture, its values lie within."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.contract.strategies import affine_steps, ranges

from normgate.check.spans import Span, span_of
from normgate.contract import Arcsinh, Channel, Clip, Log1p, Spec
from normgate.errors import SpecError
from normgate.interop.sampled import Measured
from normgate.transform.reference import normalized

STEPS = st.lists(
    st.one_of(
        affine_steps,
        ranges().map(lambda pair: Clip(low=pair[0], high=pair[1])),
        st.just(Arcsinh(cofactor=Decimal(5))),
    ),
    max_size=4,
)


@given(STEPS, st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_values_lie_within_the_bounds(steps: list[Any], counts: list[int]) -> None:
    span = span_of(steps, (0.0, 65535.0))
    plane = np.array([counts], dtype=np.uint16)
    channel = Channel(name="A", input="uint16", steps=tuple(steps))
    try:
        found = normalized(Spec(channels=(channel,)), [plane])
    except SpecError:  # Nothing is left of the channel, or the steps overflow.
        reject()
    slack = 1e-5 * max(1.0, abs(span.low), abs(span.high))
    assert found.min() >= span.low - slack
    assert found.max() <= span.high + slack


def test_bounds_of_what_measures_each_picture() -> None:
    measured = Measured("channel", "zeros")
    assert span_of([measured.standardized()], (0.0, 255.0)).centred
    assert span_of([Log1p()], (0.0, 255.0)).high == np.log1p(255.0)
    whole, part = measured.rescaled(), measured.rescaled(high=Decimal(99))
    assert span_of([whole], (0, 9)) == Span(0.0, 1.0)
    assert span_of([part], (0, 9)).high == np.inf
