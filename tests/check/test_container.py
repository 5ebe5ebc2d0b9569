"""Bit depth and container: each judgement over facts alone."""

from __future__ import annotations

import numpy as np
import pytest
from tests.check.facts import distribution, picture

from normgate.check.container import quantized, saturated, traps, types
from normgate.plates.inspection import inspect_array

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
EIGHT = (RAMP % 256).astype(np.uint16)


def look(*planes: np.ndarray) -> dict[str, str]:
    """The levels of the findings on pictures, by the end of their names."""
    seen = [picture("A", n, traps=inspect_array(p, f"{n}.tif")) for n, p in
            enumerate(planes)]  # fmt: skip
    return {one.name.rpartition(".")[2]: one.level for one in traps("A", seen)}


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        pytest.param([RAMP * 15 + 3], {}, id="sixteen-bits"),
        pytest.param([RAMP], {"bit-depth": "green"}, id="twelve-bits"),
        pytest.param([EIGHT * 257], {"times-257": "yellow"}, id="8-bit-times-257"),
        pytest.param([EIGHT], {"eight-bit-range": "yellow"}, id="8-bit-in-16-bit"),
        pytest.param([RAMP + 32768], {"offset-32768": "yellow"}, id="signed-offset"),
        pytest.param([RAMP * 16], {"shifted": "yellow"}, id="12-bit-shifted-left"),
        pytest.param([RAMP * 0 + 7], {"constant": "red"}, id="dead-everywhere"),
        pytest.param(
            [RAMP * 0 + 7, RAMP * 15 + 3], {"constant": "yellow"}, id="one-dead"
        ),
        pytest.param(
            [RAMP * 15 + 3, RAMP + 32768], {"offset-32768": "red"}, id="two-exports"
        ),
        pytest.param(
            [np.full((8, 8), np.nan, np.float32)], {"not-finite": "red"}, id="nan"
        ),
    ],
)  # fmt: skip
def test_the_values_of_pictures_give_their_container_away(
    planes: list[np.ndarray], expected: dict[str, str]
) -> None:
    assert look(*planes) == expected


@pytest.mark.parametrize(
    ("dtypes", "level"),
    [
        pytest.param(["uint16"] * 3, "green", id="one-type"),
        pytest.param(["uint16", "uint8", "uint16"], "red", id="two-types"),
    ],
)
def test_pictures_of_a_marker_have_one_type(dtypes: list[str], level: str) -> None:
    seen = [picture("A", n, dtype=dtype) for n, dtype in enumerate(dtypes)]
    found = types("A", seen)
    assert found.level == level
    if level == "red":
        assert "such as 1.tif" in found.sentence
        assert "2 uint16, 1 uint8" in found.sentence


@pytest.mark.parametrize(
    ("high", "share", "level"),
    [
        pytest.param(4095, 0.005, "green", id="a-few"),
        pytest.param(4095, 0.01, "yellow", id="from-one-percent-on"),
        pytest.param(255, 0.9375, "red", id="a-16-bit-picture-clipped-to-8"),
        pytest.param(4094, 0.9, "green", id="no-limit-of-a-depth"),
    ],
)
def test_pixels_at_the_limit_of_a_depth_are_counted(
    high: int, share: float, level: str
) -> None:
    at_limit = round(share * 10_000)
    found = saturated("A", distribution({1: 10_000 - at_limit, high: at_limit}))
    assert found.level == level
    assert found.value == pytest.approx(share if high != 4094 else 0.0)


@pytest.mark.parametrize(
    ("values", "level"),
    [
        pytest.param(np.arange(963, 9017), "green", id="every-count"),
        pytest.param(963 + np.round(np.arange(256) * 31.58), "yellow", id="u8-steps"),
        pytest.param(np.arange(0, 239), "green", id="narrow-but-whole"),
        pytest.param(np.array([5]), "green", id="constant"),
    ],
)
def test_few_values_over_a_wide_range_went_through_8_bits(
    values: np.ndarray, level: str
) -> None:
    found = quantized("A", distribution(dict.fromkeys(values.tolist(), 3)))
    assert found.level == level
