"""Agreement of plates, of replicates and of wells: known, undefined, repeatable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from tests.plates.screens import Screen, predicted

from normgate.plates.aggregate import Roles, score
from normgate.plates.concordance import replicate_scores, seed_share
from normgate.plates.retrieval import retrieval
from normgate.plates.treatments import AggregateSettings, analyse

QUICK = AggregateSettings(bootstrap=200)
DRUGS = {f"d{n}": n / 10 for n in range(10)}
SCREEN = Screen(controls=12, wells=4, drugs=DRUGS, cross_fit=False)


def test_plates_are_compared_by_rank_and_replicates_by_well() -> None:
    found = analyse(predicted(SCREEN), QUICK)
    table = found.concordance.set_index("kind")
    wide = found.plate_treatments.pivot(
        index="treatment", columns="plate", values="score"
    )
    expected = spearmanr(wide["P1"], wide["P2"]).statistic
    assert table.loc["plates", "r"] == pytest.approx(expected)
    assert table.loc["plates", "low"] < expected < table.loc["plates", "high"]
    wells = replicate_scores(found.scores).to_numpy()
    whole = wells[~np.isnan(wells).any(axis=1)]
    result = pearsonr(whole[:, 0], whole[:, 1])
    row = table.loc["replicates"]
    assert row["r"] == pytest.approx(result.statistic)
    low, high = result.confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_a_constant_between_replicates_is_no_disagreement() -> None:
    far, near = (
        seed_share(
            score(predicted(replace(SCREEN, replicate_sd=sd)), Roles("APP", "WT"))
        )
        for sd in (5.0, 0.0)
    )
    assert far == pytest.approx(near, abs=1e-6)
    assert 0 < near < 0.3


@pytest.mark.parametrize(
    ("screen", "kind", "words"),
    [
        pytest.param(
            replace(SCREEN, plates=1), "plates", "one of the plates", id="one-plate"
        ),
        pytest.param(
            replace(SCREEN, replicates=1),
            "replicates",
            "one of the",
            id="one-replicate",
        ),
        pytest.param(
            replace(SCREEN, drugs={"a": 0, "b": 1}), "plates", "2 in common", id="few"
        ),
    ],
)
def test_what_can_t_be_compared_says_why(screen: Screen, kind: str, words: str) -> None:
    table = analyse(predicted(screen), QUICK).concordance
    row = table[table["kind"] == kind].iloc[0]
    assert np.isnan(row["r"])
    assert words in row["reason"]


def test_wells_of_a_treatment_that_works_find_each_other() -> None:
    pytest.importorskip("copairs", reason="no copairs here")
    drugs = {"strong": 1.0} | {f"null{n}": 0.0 for n in range(6)}
    found = score(predicted(replace(SCREEN, drugs=drugs)), Roles("APP", "WT"))
    table, reason = retrieval(found, 0)
    assert reason == ""
    assert table.set_index("treatment").loc["strong", "q"] < 0.05
    assert table.set_index("treatment")["map"].idxmax() == "strong"
    again, _ = retrieval(found, 0)
    assert table.equals(again)


def test_one_plate_is_not_retrieved_from() -> None:
    pytest.importorskip("copairs", reason="no copairs here")
    found = score(predicted(replace(SCREEN, plates=1)), Roles("APP", "WT"))
    table, reason = retrieval(found, 0)
    assert table.empty
    assert "on one plate" in reason
