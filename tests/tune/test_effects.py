"""Weights that change nothing are found before the first trial."""

from __future__ import annotations

import pytest
from tests.tune.toy import ToyTunable, usual_space

from normgate.errors import SettingsError
from normgate.tune.effects import effects, refuse_dead


def test_weights_that_act_are_let_through() -> None:
    tunable = ToyTunable()
    found = effects(tunable, usual_space(tunable))
    assert set(found) == {"smooth", "shrink"}
    assert all(value > 1e-3 for value in found.values())
    refuse_dead(found)


def test_a_weight_that_nothing_uses_is_named() -> None:
    tunable = ToyTunable(dead=True)
    found = effects(tunable, usual_space(tunable))
    assert found["unused"] == 0.0
    with pytest.raises(SettingsError) as refused:
        refuse_dead(found)
    assert "dead weight unused" in str(refused.value)
    assert "alive are smooth, shrink" in str(refused.value)


def test_a_dead_weight_that_is_fixed_is_no_hindrance() -> None:
    tunable = ToyTunable(dead=True)
    refuse_dead(effects(tunable, usual_space(tunable, {"unused": "0.5"})))


def test_an_effect_that_is_no_number_counts_as_dead() -> None:
    with pytest.raises(SettingsError, match="dead weight smooth"):
        refuse_dead({"smooth": float("nan"), "shrink": 1.0})


def test_a_choice_acts_by_how_trials_are_judged() -> None:
    tunable = ToyTunable(choosing=True)
    found = effects(tunable, usual_space(tunable))
    assert set(found) == {"smooth", "shrink", "readout"}
    refuse_dead(found)


def test_a_choice_between_equals_is_named() -> None:
    tunable = ToyTunable(choosing=True, equal=True)
    with pytest.raises(SettingsError, match="dead weight readout"):
        refuse_dead(effects(tunable, usual_space(tunable)))
