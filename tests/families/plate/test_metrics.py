"""Metrics on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from normgate.families.plate.metrics import (
    calibration_error,
    calibration_gain,
    fitted_temperature,
    nll,
    scores,
)
from normgate.families.plate.probabilities import softmax
from normgate.plates.well_score import well_scores

CLASSES = ("WT", "APP")


def logits_of(p: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(p), np.log(p / (1 - p))], axis=1)


def test_scores_of_a_small_case() -> None:
    p = np.array([0.1, 0.4, 0.35, 0.8])
    labels = np.array([0, 0, 1, 1])
    found = scores(logits_of(p), labels, np.array(list("abcc")), CLASSES)
    assert found["auroc"] == pytest.approx(0.75)
    assert found["well_auroc"] == pytest.approx(1.0)
    assert found["accuracy"] == pytest.approx(0.75)
    assert found["p_APP"] == pytest.approx((0.35 + 0.8) / 2)
    assert found["p_WT"] == pytest.approx(0.25)
    assert found["nll"] == pytest.approx(
        -np.log([0.9, 0.6, 0.35, 0.8]).mean(), rel=1e-9
    )


@pytest.mark.parametrize("how", ["mean", "median", "trimmed", "weighted"])
def test_wells_are_judged_by_the_chosen_way(how: str) -> None:
    margins = np.array([3.0, -1.0, 0.5, 0.2, -2.0, 5.0, 1.0])
    groups = np.array(list("abaabbb"))
    labels = np.array([1, 0, 1, 1, 0, 0, 0])
    logits = np.stack([np.zeros_like(margins), 2 * margins], axis=1)
    found = scores(logits, labels, groups, CLASSES, temperature=2.0, aggregation=how)
    of_a, of_b = (
        float(well_scores(margins[groups == name], np.array(size), how))
        for name, size in (("a", 3), ("b", 4))
    )
    expected = (np.log1p(np.exp(-of_a)) + np.log1p(np.exp(of_b))) / 2
    assert found["well_nll"] == pytest.approx(expected)
    assert found["well_auroc"] == float(of_a > of_b)
    assert found["nll"] == scores(logits, labels, groups, CLASSES, 2.0)["nll"]


def test_one_class_alone_has_no_auroc() -> None:
    found = scores(np.zeros((3, 2)), np.ones(3, int), np.array(list("abc")), CLASSES)
    assert np.isnan(found["auroc"])
    assert np.isnan(found["p_WT"])


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-honest))).astype(int)
    logits = np.stack([np.zeros_like(honest), honest * true], axis=1)
    assert fitted_temperature(logits, labels) == pytest.approx(true, rel=0.08)


def test_calibration_error_is_zero_for_honest_and_large_for_boasting() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 50_000)
    labels = (rng.random(50_000) < p).astype(int)
    honest = np.stack([1 - p, p], axis=1)
    assert calibration_error(honest, labels) < 0.01
    boasting = np.where(honest > 0.5, 0.99, 0.01)
    assert calibration_error(boasting, labels) > 0.2


def test_a_certain_error_is_finite() -> None:
    assert nll(np.array([[1.0, 0.0]]), np.array([1])) < 1000


def test_what_a_temperature_gains_is_the_difference_and_has_an_interval() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 600)
    margin = np.where(labels == 1, 1.0, -1.0) + rng.normal(0, 1.5, 600)
    # Three times too sure of itself: a temperature of 3 must help.
    logits = np.stack([np.zeros(600), 3 * margin], axis=1)
    groups = np.repeat(np.arange(60), 10)
    found = calibration_gain(logits, labels, groups, 3.0)
    for name, measure in (("nll", nll), ("ece", calibration_error)):
        before, after = (measure(softmax(logits / t), labels) for t in (1.0, 3.0))
        assert found[f"{name}_gain"] == pytest.approx(before - after)
        assert found[f"{name}_gain_low"] < before - after < found[f"{name}_gain_high"]
    assert found["nll_gain_low"] > 0
    assert found["ece_gain_low"] > 0


def test_a_temperature_of_one_gains_nothing() -> None:
    rng = np.random.default_rng(4)
    logits, labels = rng.normal(size=(80, 2)), rng.integers(0, 2, 80)
    gains = calibration_gain(logits, labels, np.arange(80) // 4, 1.0)
    assert set(gains.values()) == {0.0}
