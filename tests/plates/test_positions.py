"""Edge effects and polished residuals: found where they are, not where classes are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plates.screens import Screen, predicted

from normgate.plates.aggregate import Roles, Scores, score
from normgate.plates.positions import edge_effect, median_polish, polished

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROLES = Roles("APP", "WT")
MANY = Screen(plates=1, controls=8, wells=8, drugs={f"d{n}": 0.0 for n in range(10)})
LINES = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=7)


def scores(screen: Screen, shift: float = 0.0) -> Scores:
    """A screen's scores; wells of the outermost row and columns moved by a shift."""
    found = score(predicted(screen), ROLES)
    wells = found.wells
    edge = wells["row"].isin((1, 8)) | wells["column"].isin((1, 12))
    return replace(found, wells=wells.assign(score=wells["score"] + shift * edge))


def test_median_polish_gives_tukeys_own_residuals() -> None:
    """Deaths by sport, Velleman and Hoaglin 1981; R's medpolish ends at 19."""
    deaths = [[14, 15, 14], [7, 4, 7], [8, 2, 10], [15, 9, 10], [0, 2, 0]]
    left = median_polish(np.array(deaths, dtype=np.float64))
    assert np.abs(left).sum() == 19
    assert left[2].tolist() == [0, -5, 2]


@given(LINES, LINES)
def test_rows_and_columns_alone_leave_nothing(
    rows: list[float], columns: list[float]
) -> None:
    left = median_polish(np.add.outer(np.array(rows), np.array(columns)))
    np.testing.assert_allclose(left, 0, atol=1e-9)


def test_gaps_are_left_out() -> None:
    grid = np.add.outer(np.arange(5.0), 10 * np.arange(6.0))
    grid[1, 2] = np.nan
    grid[4, 4] += 7
    left = median_polish(grid)
    assert np.isnan(left[1, 2])
    assert left[4, 4] == pytest.approx(7)


def test_a_treatment_keeps_what_is_its_own_and_controls_are_not_polished() -> None:
    found = scores(MANY)
    column = (found.wells["column"] == 5).to_numpy()
    outlier = int(np.flatnonzero(column)[3])
    moved = found.wells["score"].to_numpy(copy=True)
    moved[column] += 30
    moved[outlier] += 9
    wells = found.wells.assign(score=moved)
    result = polished(replace(found, wells=wells), "P1")
    assert result.reason == ""
    assert np.isnan(result.residuals[found.wells["role"] != ""]).all()
    assert np.nanargmax(result.residuals) == outlier
    assert np.nanmax(np.abs(np.delete(result.residuals, outlier))) < 4


def test_it_is_said_where_a_line_holds_one_treatment() -> None:
    assert "10 of 10 columns hold one treatment" in polished(scores(MANY), "P1").note
    found = scores(MANY)
    names = found.wells["treatment"].where(
        found.wells["role"] != "", [f"d{n % 7}" for n in range(len(found.wells))]
    )
    mixed = replace(found, wells=found.wells.assign(treatment=names))
    assert polished(mixed, "P1").note == ""


def test_too_few_treated_wells_are_not_polished_and_it_is_said_why() -> None:
    result = polished(scores(replace(MANY, drugs={"one": 0.0, "two": 0.0})), "P1")
    assert np.isnan(result.residuals).all()
    assert "16 treated wells fill 0 rows and 0 columns" in result.reason


def test_an_edge_effect_is_found_with_its_size() -> None:
    found = edge_effect(scores(MANY, shift=1.0), "P1", 400, 0)
    assert found.difference == pytest.approx(1.0, abs=0.4)
    assert found.p < 0.01


def test_classes_at_the_edge_are_no_edge_effect() -> None:
    """The diseased controls fill column 1; they differ from all others by 6."""
    apart = replace(MANY, separation=6.0, drugs={f"d{n}": 1.0 for n in range(10)})
    p = [edge_effect(scores(replace(apart, seed=s)), "P1", 200, 0).p for s in range(20)]
    assert np.mean(np.array(p) < 0.05) <= 0.2
    assert np.median(p) > 0.2


def test_one_seed_gives_one_p() -> None:
    found: NDArray[np.float64] = np.array(
        [edge_effect(scores(MANY), "P1", 200, seed).p for seed in (0, 0, 1)]
    )
    assert found[0] == found[1] != found[2]


def test_a_plate_without_edge_wells_has_no_edge_effect_and_says_why() -> None:
    found = scores(MANY)
    wells = found.wells.assign(row=found.wells["row"] % 5 + 2)
    wells["column"] = found.wells["column"].clip(2, 11)
    result = edge_effect(replace(found, wells=wells), "P1", 200, 0)
    assert np.isnan(result.p)
    assert "0 well(s) at the edge" in result.reason
