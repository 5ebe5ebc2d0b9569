"""What may be searched, and every way to ask for it wrongly."""

from __future__ import annotations

import pytest
from tests.tune.toy import ToyTunable, usual_space

from normgate.errors import SettingsError
from normgate.tune.goal import goal_of
from normgate.tune.space import space_of


def test_without_a_wish_every_weight_has_its_usual_range() -> None:
    space = usual_space(ToyTunable())
    assert [one.name for one in space.weights] == ["smooth", "shrink"]
    assert space.fixed == {"mse": 1.0}
    assert space.preset == {"mse": 1.0, "smooth": 0.1, "shrink": 0.01}
    assert space.first is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.5:2", (0.5, 2.0, True), id="range-keeps-its-scale"),
        pytest.param("0.5:2:linear", (0.5, 2.0, False), id="linear"),
        pytest.param("1e-4:1e-2:log", (1e-4, 1e-2, True), id="log"),
        pytest.param("0:2:linear", (0.0, 2.0, False), id="linear-from-zero"),
    ],
)
def test_a_range_is_taken_as_given(
    text: str, expected: tuple[float, float, bool]
) -> None:
    (smooth, _) = usual_space(ToyTunable(), {"smooth": text}).weights
    assert (smooth.low, smooth.high, smooth.log) == expected


def test_one_number_fixes_a_weight() -> None:
    space = usual_space(ToyTunable(), {"smooth": "3"})
    assert [one.name for one in space.weights] == ["shrink"]
    assert space.fixed == {"mse": 1.0, "smooth": 3.0}


def test_a_study_whose_range_leaves_the_preset_out_does_not_begin_with_it() -> None:
    assert usual_space(ToyTunable(), {"smooth": "1:2"}).first is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"smooth": "abc"}, ("smooth", "'abc'", "numbers"), id="text"),
        pytest.param({"smooth": "1:abc"}, ("smooth", "'1:abc'"), id="text-in-range"),
        pytest.param({"smooth": "nan"}, ("smooth", "'nan'"), id="nan"),
        pytest.param({"smooth": "inf:3"}, ("smooth", "'inf:3'"), id="infinite"),
        pytest.param({"smooth": "2:1"}, ("not below", "low:high"), id="inverted"),
        pytest.param({"smooth": "2:2"}, ("not below",), id="empty-range"),
        pytest.param({"smooth": "0:1"}, ("logarithmic", ":linear"), id="log-of-zero"),
        pytest.param({"smooth": "-1"}, ("from 0",), id="negative"),
        pytest.param({"smooth": "1:2:cubic"}, ("low:high:log",), id="unknown-scale"),
        pytest.param({"smoth": "1:2"}, ("no weight", "smooth, shrink"), id="unknown"),
        pytest.param({"mse": "1:2"}, ("gauge", "fixed at 1"), id="gauge"),
        pytest.param(
            {"smooth": "1", "shrink": "1"}, ("nothing to search",), id="all-fixed"
        ),
    ],
)
def test_what_cant_be_meant_is_refused(
    given: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as refused:
        usual_space(ToyTunable(), given)
    for word in words:
        assert word in str(refused.value)


def test_a_choice_is_searched_narrowed_and_fixed() -> None:
    tunable = ToyTunable(choosing=True)
    space = usual_space(tunable)
    assert space.names == ("smooth", "shrink", "readout")
    assert space.first == {"smooth": 0.1, "shrink": 0.01, "readout": "all"}
    assert space.document()["searched"]["readout"] == {
        "options": ["all", "half", "end"],
        "default": "all",
    }
    (narrowed,) = usual_space(tunable, {"readout": "half, end"}).choices
    assert narrowed.options == ("half", "end")
    assert usual_space(tunable, {"readout": "half, end"}).first is None
    fixed = usual_space(tunable, {"readout": "end"})
    assert fixed.choices == ()
    assert fixed.fixed["readout"] == "end"


def test_a_choice_alone_can_be_searched() -> None:
    given = {"smooth": "1", "shrink": "0.5"}
    assert usual_space(ToyTunable(choosing=True), given).names == ("readout",)


def test_a_choice_that_no_objective_shows_stays_as_it_is() -> None:
    tunable = ToyTunable(choosing=True)
    goal = goal_of(tunable, ("r2",), desirable=False)
    assert space_of(tunable, {}, goal).fixed["readout"] == "all"
    assert space_of(tunable, {"readout": "end"}, goal).fixed["readout"] == "end"
    with pytest.raises(SettingsError) as refused:
        space_of(tunable, {"readout": "all,end"}, goal)
    for word in ("objectives r2", "add one of rough", "readout=all"):
        assert word in str(refused.value)


@pytest.mark.parametrize("text", ["some", "all,all", "all,", "0.1:0.5"])
def test_words_that_a_choice_has_not_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected some of all, half, end"):
        usual_space(ToyTunable(choosing=True), {"readout": text})
