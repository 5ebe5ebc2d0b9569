"""What a spec makes of intensities: each judgement over distributions alone."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.check.facts import distribution

from normgate.check.facts import ChannelFacts
from normgate.check.normalized import clip_bounds, of_channel
from normgate.check.raw import normalized_before, padding, sparse
from normgate.contract import Channel, Clip, InputType, Rescale, Standardize, Step

if TYPE_CHECKING:
    from normgate.transform.distribution import Distribution

COUNTS = distribution({v: 1 + v % 7 for v in range(900, 9000)})
MASKED = distribution({0: 9000} | dict.fromkeys(range(1, 239), 10))


def channel(*steps: Step, kind: InputType = "uint16") -> Channel:
    return Channel(name="A", input=kind, steps=steps)


def ranged(low: str, high: str) -> tuple[Step, ...]:
    ends = {"low": Decimal(low), "high": Decimal(high)}
    return Clip(**ends), Rescale(**ends)


def standardized(mean: str, std: str) -> Standardize:
    return Standardize(mean=Decimal(mean), std=Decimal(std))


def levels(own: Channel, before: Distribution) -> dict[str, str]:
    """The findings of a channel that are not green."""
    after = before.through(own)
    facts = ChannelFacts(name="A", marker="A", channel=own, before=before, after=after)
    found = of_channel(facts, own, before, after)
    return {
        one.name.rpartition(".")[2]: one.level for one in found if one.level != "green"
    }


@pytest.mark.parametrize(
    ("own", "before", "expected"),
    [
        pytest.param(channel(*ranged("963", "8900")), COUNTS, {}, id="its-own-range"),
        pytest.param(
            channel(*ranged("1783", "11525")), MASKED,
            {
                "dead": "red", "std": "yellow", "saturated_low": "red",
                "clip_range": "red",
            },
            id="another-channels-percentiles",
        ),
        pytest.param(
            channel(*ranged("0", "1")), COUNTS,
            {
                "dead": "red", "std": "yellow", "saturated_high": "red",
                "clip_range": "red",
            },
            id="a-spec-for-normalized-data",
        ),
        pytest.param(
            channel(standardized("0.2233", "0.1644")), COUNTS,
            {"range": "yellow", "std": "yellow", "mean": "red", "standard": "yellow"},
            id="a-rescale-is-missing",
        ),
        pytest.param(
            channel(*ranged("0", "65535"), standardized("0.485", "0.229")), MASKED,
            {"std": "yellow"},
            id="8-bit-data-under-a-16-bit-range",
        ),
        pytest.param(
            channel(standardized("4950", "2338")), COUNTS, {}, id="fitted-z-score"
        ),
        pytest.param(
            channel(standardized("3000", "2338")), COUNTS, {"standard": "yellow"},
            id="z-score-of-other-data",
        ),
    ],
)  # fmt: skip
def test_constants_are_held_against_intensities(
    own: Channel, before: Distribution, expected: dict[str, str]
) -> None:
    assert levels(own, before) == expected


FLOATS: InputType = "float32"


@pytest.mark.parametrize(
    ("values", "own", "level"),
    [
        pytest.param(np.linspace(0, 1, 99), None, "yellow", id="0..1-without-spec"),
        pytest.param(
            np.linspace(0, 1, 99), channel(*ranged("963", "9016"), kind=FLOATS), "red",
            id="0..1-against-a-spec-of-counts",
        ),
        pytest.param(
            np.linspace(0, 1, 99), channel(standardized("0.4", "0.2"), kind=FLOATS),
            "yellow", id="0..1-with-a-spec-of-it",
        ),
        pytest.param(
            np.linspace(-2.5, 3.1, 99), channel(*ranged("963", "9016"), kind=FLOATS),
            "red", id="standardized-before",
        ),
        pytest.param(np.linspace(0.5, 9000.2, 99), None, "green", id="real-counts"),
        pytest.param(np.arange(99), None, "green", id="whole-counts"),
    ],
)  # fmt: skip
def test_data_that_were_normalized_before_are_told(
    values: np.ndarray, own: Channel | None, level: str
) -> None:
    found = normalized_before("A", own, distribution(dict.fromkeys(values.tolist(), 1)))
    assert found.level == level


@pytest.mark.parametrize(
    ("before", "level"),
    [
        pytest.param({0: 97, 5: 3}, "green", id="below"),
        pytest.param({0: 98, 5: 2}, "yellow", id="percentiles-may-fall-together"),
    ],
)
def test_a_channel_of_one_value_is_sparse(before: dict[float, int], level: str) -> None:
    assert sparse("A", distribution(before)).level == level


@pytest.mark.parametrize(
    ("counts", "level"),
    [
        pytest.param(
            {-2000: 500} | dict.fromkeys(range(-1000, 1000), 1), "yellow", id="ct"
        ),
        pytest.param(
            {0: 500} | dict.fromkeys(range(900, 9000), 1), "yellow", id="stitched"
        ),
        pytest.param(dict.fromkeys(range(0, 5000), 1), "green", id="none"),
        pytest.param({0: 9000} | dict.fromkeys(range(1, 239), 10), "green", id="mask"),
        pytest.param({7: 10}, "green", id="constant"),
    ],
)
def test_a_plateau_apart_from_all_other_values_is_padding(
    counts: dict[float, int], level: str
) -> None:
    assert padding("A", distribution(counts)).level == level


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param(channel(*ranged("0", "238")), (0, 238), id="an-end-of-the-type"),
        pytest.param(channel(*ranged("963", "9016")), (963, 9016), id="both-inside"),
        pytest.param(channel(standardized("1", "2")), (-np.inf, np.inf), id="none"),
    ],
)
def test_a_clip_at_the_end_of_a_type_is_a_range_all_the_same(
    own: Channel, expected: tuple[float, float]
) -> None:
    assert clip_bounds(own) == expected
