"""Channels that are one, or exchanged: each judgement over facts alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.check.facts import picture, place

from normgate.check.twins import (
    alike,
    misfit,
    repeated,
    same_pixels,
    swapped,
    swapped_plates,
)

CONSTANTS = {"RFP1": (963.0, 9016.0), "MASKED": (0.0, 238.0), "HALO": (963.0, 9500.0)}
ENDS = st.tuples(st.floats(0, 1e4), st.floats(0, 6e4)).map(lambda e: (min(e), max(e)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"RFP1": (960.0, 8000.0), "MASKED": (0.0, 250.0)}, [], id="own"),
        pytest.param(
            {"RFP1": (0.0, 240.0), "MASKED": (970.0, 8800.0)}, ["MASKED"], id="swapped"
        ),
        pytest.param(
            {"RFP1": (963.0, 9500.0), "HALO": (963.0, 9016.0)}, [], id="too-alike"
        ),
        pytest.param(
            {"RFP1": (0.0, 240.0), "MASKED": (0.0, 240.0)}, [], id="copied-no-swap"
        ),
    ],
)
def test_channels_that_fit_each_others_constants_are_exchanged(
    found: dict[str, tuple[float, float]], expected: list[str]
) -> None:
    red = [one for one in swapped("it", CONSTANTS, found) if one.level == "red"]
    assert [one.culprit for one in red] == expected


@given(a=ENDS, b=ENDS)
def test_what_fits_its_own_constants_is_never_exchanged(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    own = {"A": a, "B": b}
    assert [one.level for one in swapped("it", own, own)] == ["green"]
    assert misfit(a, b) == misfit(b, a) >= 0 == misfit(a, a)


def test_one_plate_of_three_with_exchanged_markers_is_named() -> None:
    ends = {"A": (900.0, 9000.0), "B": (0.0, 240.0)}
    pictures = [
        picture(
            marker,
            place=place(0, plate=plate),
            p1=ends[source][0],
            p99=ends[source][1],
        )
        for plate, turned in (("P1", False), ("P2", True), ("P3", False))
        for marker, other in (("A", "B"), ("B", "A"))
        for source in [other if turned else marker]
    ]
    red = [one for one in swapped_plates(pictures) if one.level == "red"]
    assert ["(P2)" in one.sentence for one in red] == [True]


def test_two_markers_with_the_same_pixels_are_red() -> None:
    twins = [picture("A", 0, digest="x"), picture("B", 0, digest="x")]
    assert same_pixels(twins).level == "red"
    assert same_pixels([twins[0], picture("B", 1, digest="x")]).level == "green"


@pytest.mark.parametrize(
    ("group", "level"),
    [
        pytest.param("P1-A01", "yellow", id="one-group"),
        pytest.param("P1-A02", "red", id="two-groups-training-and-test-share-it"),
    ],
)
def test_a_picture_that_stands_twice_is_told(group: str, level: str) -> None:
    first = picture("A", 0, digest="x")
    second = picture("A", 0, digest="x", place=place(0, timepoint_ms=9, group=group))
    found = repeated([first, second])
    assert found.level == level
    assert ("training and test share them" in found.sentence) == (level == "red")


@pytest.mark.parametrize(
    ("r", "level"),
    [
        pytest.param([0.61, 0.55], "green", id="two-stains-of-real-plates"),
        pytest.param([0.91, 0.94], "yellow", id="one-dye-in-two-projections"),
    ],
)
def test_markers_that_correlate_like_one_dye_are_told(
    r: list[float], level: str
) -> None:
    assert alike("A", "B", r).level == level
