"""Claims: judged by how far the seeds lie beyond the bound, and never by one seed."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.incidents.tables import table

from normgate.incidents.claims import Claim, judge, judge_all, paragraph
from normgate.incidents.outcome import Outcome
from normgate.incidents.rescue.claims import CLAIMS
from normgate.incidents.table import Table

NAN = math.nan


def claim(relation: Literal["above", "below"] = "above", bound: float = 0.5) -> Claim:
    return Claim(
        name="a",
        sentence="Arm a scores well",
        source="post-mortem",
        quantity=lambda of: of("a", "score"),
        relation=relation,
        bound=bound,
    )


@pytest.mark.parametrize(
    ("values", "relation", "verdict"),
    [
        pytest.param((0.7, 0.8, 0.9), "above", "reproduced", id="far-above"),
        pytest.param((0.7, 0.8, 0.9), "below", "not reproduced", id="far-wrong"),
        pytest.param((0.1, 0.2), "below", "reproduced", id="far-below"),
        pytest.param((0.4, 0.7), "above", "could not be judged", id="within-spread"),
        pytest.param((0.9,), "above", "could not be judged", id="one-seed"),
        pytest.param((0.9, NAN), "above", "could not be judged", id="one-of-two"),
        pytest.param((0.9, 0.9), "above", "reproduced", id="no-spread"),
        pytest.param((0.2, 0.2), "above", "not reproduced", id="no-spread-wrong"),
        pytest.param((NAN, NAN), "above", "could not be judged", id="undefined"),
    ],
)
def test_a_claim_is_decided_by_its_margin_in_seed_deviations(
    values: tuple[float, ...], relation: Literal["above", "below"], verdict: str
) -> None:
    assert judge(claim(relation), table(a=values)).verdict == verdict


def test_an_absent_arm_is_said_and_decides_nothing() -> None:
    judged = judge(claim(), table(b=(1.0, 1.0)))
    assert judged.verdict == "could not be judged"
    assert "an arm is missing" in judged.sentence


def test_what_seeds_share_cancels_in_a_difference() -> None:
    difference = Claim(
        name="d",
        sentence="a exceeds b",
        source="prototype",
        quantity=lambda of: of("a", "score") - of("b", "score"),
        relation="above",
        bound=0.05,
    )
    judged = judge(difference, table(a=(0.30, 0.61, 0.90), b=(0.20, 0.50, 0.80)))
    assert judged.verdict == "reproduced"
    assert judged.margin > 5


@given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=5),
    st.floats(-10, 10),
)
def test_a_claim_and_its_opposite_are_never_both_borne_out(
    values: list[float], bound: float
) -> None:
    found = {
        judge(claim(relation, bound), table(a=tuple(values))).verdict
        for relation in ("above", "below")
    }
    assert found in ({"could not be judged"}, {"reproduced", "not reproduced"})


def test_the_paragraph_counts_and_tells_every_claim() -> None:
    judged = judge_all((claim(), claim("below")), table(a=(0.7, 0.8)))
    text = paragraph(judged)
    assert "1 reproduced, 1 not reproduced" in text
    assert "found 0.75 ± 0.071 over 2 seeds, claimed above 0.5, margin 3.5 SD" in text


def test_a_range_over_arms_is_undefined_where_one_is_missing() -> None:
    (claim_,) = (one for one in CLAIMS if one.name == "recipe_does_not_matter")
    arms = ("best", "fluorescence", "percentile_z", "dataset_z")
    outcomes = [
        Outcome(arm=arm, seed=seed, metrics={"auroc": 0.8 + 0.001 * seed})
        for seed in (0, 1)
        for arm in arms
    ]
    assert judge(claim_, Table(tuple(outcomes))).verdict == "reproduced"
    assert judge(claim_, Table(tuple(outcomes[1:]))).seeds == 1
