from __future__ import annotations

import math

import pytest

from normgate.gate.vitals import (
    channel_std,
    channel_vitals,
    dead_channel,
    prediction_vitals,
    saturation,
    scale_ratio,
    value_range,
    vital_from_record,
    worst,
)


@pytest.mark.parametrize(
    ("std", "dead", "spread"),
    [
        pytest.param(1.0, "green", "green", id="healthy"),
        pytest.param(0.1, "green", "green", id="lower-bound-is-inclusive"),
        pytest.param(10.0, "green", "green", id="upper-bound-is-inclusive"),
        pytest.param(0.05, "green", "yellow", id="narrow"),
        pytest.param(400.0, "green", "yellow", id="raw-counts"),
        pytest.param(0.0, "red", "yellow", id="constant"),
        pytest.param(math.nan, "red", "red", id="nan-fails"),
    ],
)
def test_a_channels_spread_is_judged(std: float, dead: str, spread: str) -> None:
    assert dead_channel("RFP1", std).level == dead
    assert channel_std("RFP1", std).level == spread


@pytest.mark.parametrize(
    ("low", "high", "level"),
    [
        pytest.param(-2.1, 2.6, "green", id="imagenet"),
        pytest.param(0.0, 65535.0, "yellow", id="not-normalized"),
        pytest.param(-math.inf, 1.0, "red", id="infinite"),
        pytest.param(0.0, math.nan, "red", id="nan"),
    ],
)
def test_a_channels_range_is_judged(low: float, high: float, level: str) -> None:
    assert value_range("HALO", low, high).level == level


@pytest.mark.parametrize(
    ("fraction", "level"),
    [
        (0.01, "green"),
        (0.05, "yellow"),
        (0.49, "yellow"),
        (0.5, "red"),
        (math.nan, "red"),
    ],
)
def test_saturation_is_judged_per_side(fraction: float, level: str) -> None:
    vital = saturation("HALO", "high", fraction)
    assert vital.level == level
    assert vital.name == "norm.HALO.saturated_high"


@pytest.mark.parametrize(
    ("probabilities", "levels"),
    [
        pytest.param([0.2, 0.9, 0.4, 0.7], ("green", "green"), id="healthy"),
        pytest.param([0.002] * 50, ("red", "yellow"), id="cross-deployed"),
        pytest.param([0.4] * 50, ("red", "green"), id="one-class"),
        pytest.param([0.001, 0.999] * 9, ("green", "yellow"), id="overconfident"),
        pytest.param([0.2, math.nan], ("red", "green"), id="nan-fails"),
        pytest.param([], ("red", "yellow"), id="nothing-was-predicted"),
    ],
)
def test_collapsed_predictions_are_seen(
    probabilities: list[float], levels: tuple[str, str]
) -> None:
    vitals = prediction_vitals(probabilities, positive="APP")
    assert tuple(vital.level for vital in vitals) == levels


def test_a_channel_that_drowns_another_is_named() -> None:
    vital = scale_ratio({"RFP1": 1.0, "HALO": 0.001})
    assert vital.level == "yellow"
    assert "channel RFP1 spreads 1000 times as wide as HALO" in vital.sentence
    assert scale_ratio({"RFP1": 0.0, "HALO": 1.0}).level == "yellow"


def test_the_worst_level_stands_for_all() -> None:
    healthy = channel_vitals("RFP1", low=-2, high=2, std=1, below=0.01, above=0.01)
    assert worst(healthy) == "green"
    assert worst([*healthy, dead_channel("HALO", 0.0)]) == "red"
    assert worst([]) == "green"


def test_a_vital_survives_the_card() -> None:
    vital = dead_channel("HALO_MASKED", 0.0)
    assert vital_from_record(vital.record()) == vital


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({}, id="empty"),
        pytest.param({"name": "a", "value": 1, "threshold": 1}, id="no-level"),
        pytest.param(
            {"name": "a", "value": 1, "threshold": 1, "level": "blue", "sentence": ""},
            id="unknown-level",
        ),
        pytest.param("text", id="no-object"),
    ],
)
def test_a_broken_record_is_no_vital(record: object) -> None:
    with pytest.raises(ValueError, match="vital"):
        vital_from_record(record)  # type: ignore[arg-type]
