"""What a study found: front, order, correlations, table, pictures, words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import PIL.Image
from hypothesis import given
from hypothesis import strategies as st
from tests.tune.studies import setup
from tests.tune.toy import ToyTunable, usual_space

from normgate.tune import report
from normgate.tune.analysis import (
    Row,
    correlations,
    front,
    importances,
    rows_of,
    shortlist,
    table,
)
from normgate.tune.figures import write_figures
from normgate.tune.goal import goal_of
from normgate.tune.outcomes import Kept

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVES = ToyTunable.objectives
SPACE = usual_space(ToyTunable())
GOAL = goal_of(ToyTunable(), (), desirable=False)
SCORES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()),
    min_size=1,
    max_size=12,
)


def row(
    slot: int, r2: float, rough: float, *, red: bool = False, loss: float = 0
) -> Row:
    kept = Kept(
        metrics={"r2": r2, "rough": rough},
        weighted_loss=loss,
        constraints={"toy.smooth": 1.0 if red else -1.0},
        vitals={},
        red=("toy.smooth",) if red else (),
        seconds=1.0,
    )
    params = {"smooth": 0.01 * (slot + 1), "shrink": 0.5}
    return Row(
        slot=slot, state="complete", params=params, kept=kept, kills=0, reason=""
    )


@given(SCORES)
def test_nobody_is_better_than_the_front_and_somebody_than_the_rest(
    scores: list[tuple[int, int, bool]],
) -> None:
    rows = [row(n, a, b, red=red) for n, (a, b, red) in enumerate(scores)]
    found = front(rows, OBJECTIVES)
    feasible = [n for n, (_, _, red) in enumerate(scores) if not red]
    for number in feasible:
        a, b, _ = scores[number]
        better = [
            other
            for other in feasible
            if scores[other][0] >= a
            and scores[other][1] <= b
            and scores[other][:2] != (a, b)
        ]
        assert (number in found) == (not better)
    assert set(found) <= set(feasible)
    assert bool(found) == bool(feasible)


def test_the_shortlist_is_the_front_by_desirability_and_then_the_rest() -> None:
    rows = [
        row(0, 0.5, 1.5),
        row(1, 0.9, 1.0),
        row(2, 0.6, 0.2),
        row(3, 1.0, 0.0, red=True),
    ]
    assert [one.slot for one in shortlist(rows, OBJECTIVES, 9)] == [2, 1, 0]
    assert [one.slot for one in shortlist(rows, OBJECTIVES, 1)] == [2]


def test_a_loss_that_falls_with_quality_has_plus_one_against_it() -> None:
    """Weights that only shrink the loss, at the cost of r2."""
    rows = [row(n, n / 10, 1.0, loss=float(n)) for n in range(6)]
    found = {(one.of, one.to): one.rho for one in correlations(rows, SPACE, OBJECTIVES)}
    assert found == {("weighted_loss", "r2"): 1.0, ("smooth", "weighted_loss"): 1.0}
    assert correlations(rows[:3], SPACE, OBJECTIVES) == ()


def test_a_study_is_told_in_tables_pictures_and_words(tmp_path: Path) -> None:
    made = setup(tmp_path, 6)
    made.work()
    rows = rows_of(made.study)
    found = importances(made.study, made.goal)
    assert set(found) == {"r2", "rough"}
    assert math.isclose(sum(found["r2"].values()), 1.0)
    frame = table(rows, made.space, made.goal)
    assert list(frame["trial"]) == list(range(6))
    assert {"smooth", "shrink", "r2", "rough", "weighted_loss", "front"} <= set(frame)

    paths = write_figures(tmp_path / "figures", rows, made.space, made.goal, found)
    assert {path.stem for path in paths} == {
        "pareto_front",
        "importances",
        "slices",
        "parallel_coordinates",
    }
    for path in paths:
        with PIL.Image.open(path) as picture:
            assert picture.width > 300

    assert "6 trials: 6 complete." in report.counts_sentence(rows)
    assert "| smooth | 0.001 | 10 | log | 0.1 |" in report.search_table(made.space)
    assert "| mse | 1 | 1 | fixed | 1 |" in report.search_table(made.space)
    assert report.front_table(rows, made.space, made.goal).count("\n") >= 2


def test_a_choice_is_told_by_its_words(tmp_path: Path) -> None:
    made = setup(tmp_path, trials=8, tunable=ToyTunable(choosing=True))
    made.work()
    rows = rows_of(made.study)
    found = importances(made.study, made.goal)
    assert set(found["rough"]) == {"smooth", "shrink", "readout"}
    paths = write_figures(tmp_path / "figures", rows, made.space, made.goal, found)
    assert len(paths) == 4
    assert set(table(rows, made.space, made.goal)["readout"]) <= {"all", "half", "end"}
    assert "| readout | all, half, end | | choice | all |" in report.search_table(
        made.space
    )
    told = {pair.of for pair in correlations(rows, made.space, OBJECTIVES)}
    assert "readout" not in told
    assert rows[0].params == made.space.first


def test_a_study_without_a_finished_trial_has_no_pictures(tmp_path: Path) -> None:
    made = setup(tmp_path, 2)
    rows = rows_of(made.study)
    assert write_figures(tmp_path, rows, SPACE, GOAL, {}) == []
    assert importances(made.study, GOAL) == {}
    assert report.counts_sentence(rows) == "2 trials: 2 waiting."


def test_kills_and_red_vitals_are_told() -> None:
    rows = [row(0, 1, 0, red=True), row(1, 1, 0)]
    assert "1 of the complete have red vitals" in report.counts_sentence(rows)


def test_held_out_figures_come_with_their_spread() -> None:
    found = report.held_out_table({"preset": [{"r2": 0.5}, {"r2": 0.7}]})
    assert "| preset | 0.6 +- 0.14 |" in found
