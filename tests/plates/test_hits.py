"""Hits need two plates: known ones are found, and noise makes few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.plates.screens import Screen, predicted

from normgate.plates.hits import FDR
from normgate.plates.treatments import AggregateSettings, Analysis, analyse

QUICK = AggregateSettings(bootstrap=100)
DRUGS = {"strong": 1.0, "worse": -1.0} | {f"null{n}": 0.0 for n in range(8)}
SCREEN = Screen(controls=12, wells=4, drugs=DRUGS, separation=4.0)


def found(screen: Screen = SCREEN) -> Analysis:
    return analyse(predicted(screen), QUICK)


def test_known_hits_are_found_on_their_side() -> None:
    table = found().treatments.set_index("treatment")
    assert table.loc["strong", "hit"] == "healthy"
    assert table.loc["worse", "hit"] == "diseased"
    assert table.loc["strong", "robust_z"] > 3
    assert table.loc["worse", "robust_z"] < -3


def test_treatments_that_do_nothing_are_seldom_hits() -> None:
    nothing = {f"null{n}": 0.0 for n in range(10)}
    hits = [
        (found(replace(SCREEN, drugs=nothing, seed=seed)).treatments["hit"] != "no")
        for seed in range(12)
    ]
    assert np.mean(hits) <= 0.02


def test_q_are_benjamini_and_hochbergs() -> None:
    rows = found().plate_treatments
    for _, plate in rows.groupby("plate"):
        p = plate["p"].to_numpy()
        order = np.argsort(p)
        raw = p[order] * len(p) / np.arange(1, len(p) + 1)
        expected = np.minimum.accumulate(raw[::-1])[::-1].clip(max=1)
        np.testing.assert_allclose(plate["q"].to_numpy()[order], expected)
    assert (rows["q"] <= FDR).any()


@pytest.mark.parametrize(
    ("screen", "words"),
    [
        pytest.param(replace(SCREEN, plates=1), "1 plate(s)", id="one-plate"),
        pytest.param(
            replace(SCREEN, controls=3), "3 diseased control well(s)", id="few-controls"
        ),
        pytest.param(
            replace(SCREEN, well_sd=0, unit_sd=0, replicate_sd=0), None, id="no-noise"
        ),
    ],
)
def test_what_can_t_be_judged_says_why(screen: Screen, words: str | None) -> None:
    table = found(screen).treatments
    if words is None:
        assert set(table["hit"]) <= {"", "no", "healthy", "diseased"}
        return
    assert set(table["hit"]) == {""}
    assert table["hit_reason"].str.contains(words, regex=False).all()


def test_treated_wells_of_another_genotype_are_not_judged() -> None:
    predictions = predicted(SCREEN)
    frame = predictions.frame.copy()
    frame.loc[frame["treatment"] == "strong", "genotype"] = "WT"
    table = analyse(replace(predictions, frame=frame), QUICK).treatments
    row = table[table["treatment"] == "strong"].iloc[0]
    assert row["hit"] == ""
    assert "genotype of the diseased controls, APP" in row["hit_reason"]
