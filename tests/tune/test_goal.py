"""Objectives: never a weighted loss, and a desirability that keeps its promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tune.toy import ToyTunable

from normgate.errors import DataError, SettingsError
from normgate.tune.goal import desirability, goal_of

R2, ROUGH = ToyTunable.objectives
FLOATS = st.floats(-5, 5)


def test_a_family_has_several_objectives_unless_told_otherwise() -> None:
    goal = goal_of(ToyTunable(), (), desirable=False)
    assert goal.names == ("r2", "rough")
    assert goal.directions == ("maximize", "minimize")
    assert not goal.single
    assert goal.values({"rough": 1.0, "r2": 0.5}) == (0.5, 1.0)


def test_one_desirability_takes_their_place_on_request() -> None:
    goal = goal_of(ToyTunable(), (), desirable=True)
    assert goal.names == ("desirability",)
    assert goal.single
    # r2 0.5 is 3/4 of the way from -1 to 1, rough 1.5 a quarter of that from 2 to 0.
    assert goal.values({"r2": 0.5, "rough": 1.5}) == pytest.approx((0.1875**0.5,))
    assert goal.document()["objectives"]["rough"]["worst"] == 2.0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(
            ("weighted_loss",),
            ("contains the weights", "shrink the weights", "r2, rough"),
            id="weighted",
        ),
        pytest.param(("r3",), ("no objective 'r3'", "r2, rough"), id="unknown"),
        pytest.param(("r2", "r2"), ("each once",), id="twice"),
    ],
)
def test_what_cant_judge_is_refused(
    names: tuple[str, ...], words: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as refused:
        goal_of(ToyTunable(), names, desirable=False)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_trial_without_its_objective_is_refused(value: float | None) -> None:
    metrics = {"rough": 1.0} | ({} if value is None else {"r2": value})
    with pytest.raises(DataError, match="objective r2 is"):
        goal_of(ToyTunable(), (), desirable=False).values(metrics)


@given(FLOATS, FLOATS, FLOATS)
def test_desirability_lies_within_0_and_1_and_rises_with_quality(
    r2: float, more: float, rough: float
) -> None:
    low, high = sorted((r2, more))
    before = desirability((R2, ROUGH), {"r2": low, "rough": rough})
    after = desirability((R2, ROUGH), {"r2": high, "rough": rough})
    assert 0 <= before <= after <= 1


def test_nothing_outweighs_an_objective_at_its_worst() -> None:
    assert desirability((R2, ROUGH), {"r2": 1.0, "rough": 2.0}) == 0
    assert desirability((R2, ROUGH), {"r2": math.nan, "rough": 0.0}) == 0


def test_an_epoch_foretells_only_a_single_objective() -> None:
    epoch = {"validation_r2": 0.3}
    assert goal_of(ToyTunable(), ("r2",), desirable=False).during(epoch) == 0.3
    assert goal_of(ToyTunable(), (), desirable=False).during(epoch) is None
    assert goal_of(ToyTunable(), ("rough",), desirable=False).during(epoch) is None
