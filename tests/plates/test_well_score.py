"""How cells become a well, against NumPy and SciPy, and what outliers do to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.plates.screens import Screen, predicted

from normgate.errors import SettingsError
from normgate.plates.aggregate import Roles, score
from normgate.plates.treatments import AggregateSettings, analyse
from normgate.plates.well_score import WORDS, well_scores

SCREEN = Screen(controls=8, wells=4, units=21)
VALUES = st.lists(st.floats(-50, 50), min_size=1, max_size=40)


def weighted(values: list[float]) -> float:
    weights = np.abs(np.tanh(np.array(values) / 2))
    return float(np.average(values, weights=weights)) if weights.any() else 0.0


PEERS = {
    "mean": np.mean,
    "median": np.median,
    "trimmed": lambda values: stats.trim_mean(values, 0.1),
    "weighted": weighted,
}


@pytest.mark.parametrize("how", list(WORDS))
@given(wells=st.lists(VALUES, min_size=1, max_size=4))
def test_each_is_what_its_peer_says_of_every_well(
    how: str, wells: list[list[float]]
) -> None:
    sizes = np.array([len(well) for well in wells])
    padded = np.full((len(wells), sizes.max()), 1e6)
    for row, well in zip(padded, wells, strict=True):
        row[: len(well)] = well
    expected = [PEERS[how](well) for well in wells]
    assert well_scores(padded, sizes, how) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("how", list(WORDS))
def test_an_analysis_rests_on_it_in_scores_and_intervals(how: str) -> None:
    found = analyse(predicted(SCREEN), AggregateSettings(bootstrap=200, score=how))
    own = score(predicted(SCREEN), Roles("APP", "WT"), how)
    assert np.array_equal(found.wells["score"], own.wells["score"])
    good = found.treatments.set_index("treatment").loc["good"]
    assert good["low"] < good["rescue"] < good["high"]
    assert good["rescue"] == pytest.approx(0.8, abs=0.25)


def test_a_few_wild_cells_move_a_mean_and_no_median() -> None:
    calm = np.linspace(-1, 1, 21)[None]
    wild = calm.copy()
    wild[0, -2:] = 500
    size = np.array([21])
    moved = {
        how: float((well_scores(wild, size, how) - well_scores(calm, size, how))[0])
        for how in WORDS
    }
    assert moved["median"] == 0
    assert moved["trimmed"] == pytest.approx(0)
    assert moved["mean"] > 40
    assert moved["weighted"] > 40


def test_another_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="'mode', expected one of mean, median"):
        AggregateSettings(score="mode")
