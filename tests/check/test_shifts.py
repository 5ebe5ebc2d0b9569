"""Plates and wells that lie apart: each judgement over numbers alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.check.facts import picture, place

from normgate.check.shifts import apart, furthest, outlying, plate_shifts, robust_z

NOISE = np.random.default_rng(0).normal(0, 10, 12)


def wells(shift: float = 0.0, gain: float = 1.0) -> list:
    """Two plates of twelve wells; the second is shifted and scaled."""
    return [
        picture(
            "A",
            well,
            place=place(well, plate=plate),
            mean=1000 + NOISE[well] + (shift if plate == "P2" else 0),
            std=100 * (gain if plate == "P2" else 1) + NOISE[well] / 10,
        )
        for plate in ("P1", "P2")
        for well in range(12)
    ]


@pytest.mark.parametrize(
    ("shift", "gain", "expected"),
    [
        pytest.param(0, 1, [], id="alike"),
        pytest.param(5, 1, [], id="within-its-error"),
        pytest.param(40, 1, ["plate_shift"], id="brighter"),
        pytest.param(0, 1.5, ["plate_scale"], id="spread-wider"),
    ],
)
def test_a_plate_that_lies_beyond_its_error_is_told(
    shift: float, gain: float, expected: list[str]
) -> None:
    found = list(plate_shifts("A", wells(shift, gain), 100.0))
    odd = [one.name.rpartition(".")[2] for one in found if one.level == "yellow"]
    assert odd == expected


def test_a_plate_of_one_well_has_no_error_and_is_told_all_the_same() -> None:
    values = {("P1", "A01"): 0.0, ("P2", "A01"): 2.0}
    found = furthest("data.A.plate_shift", "A", values, 0.25, "std")
    assert found.level == "yellow"
    assert "standard error nan of 1 wells" in found.sentence


@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9),
    by=st.floats(-1e3, 1e3),
)
def test_moving_a_plate_moves_its_shift_and_not_its_error(
    values: list[float], by: float
) -> None:
    before = apart("P1", {"P1": values, "P2": values})
    after = apart("P1", {"P1": [v + by for v in values], "P2": values})
    assert before[0] == pytest.approx(0, abs=1e-9)
    assert after[0] == pytest.approx(by, abs=1e-6)
    assert after[1] == pytest.approx(before[1], rel=1e-6, abs=1e-6)


def test_an_outlying_well_is_named() -> None:
    pictures = wells()
    pictures[3] = picture("A", 3, mean=5000.0)
    found = outlying("A", pictures)
    assert found.level == "yellow"
    assert found.culprit == "well A04 of plate P1"


def test_wells_without_spread_are_no_outliers() -> None:
    assert set(robust_z({("P", "A1"): 1.0, ("P", "A2"): 1.0}).values()) == {0.0}
    assert not math.isnan(outlying("A", [picture("A")]).value)
