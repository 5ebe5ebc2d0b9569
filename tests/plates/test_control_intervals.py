"""Intervals of control separation hold the truth about as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.plates.screens import Screen, predicted

from normgate.plates.aggregate import Roles, score
from normgate.plates.control_intervals import NAMES, control_intervals
from normgate.plates.statistics import UNDER_COVERING, controls, plate_row


def coverage(wells: int, screens: int, draws: int = 400) -> dict[str, float]:
    """Share of intervals that hold the truth of wells of SD 1, 2 apart."""
    screen = Screen(
        plates=1, controls=wells, wells=0, separation=2.0, well_sd=1.0, unit_sd=0.01,
        replicate_sd=0.0, units=1, replicates=1, cross_fit=False, drugs={},
    )  # fmt: skip
    # Replicates of the simulation add noise of 0.1 to each unit.
    sd = np.sqrt(1 + 0.01**2 + 0.1**2)
    truth = {"z_prime": 1 - 3 * 2 * sd / 2, "robust_z_prime": 1 - 3 * 2 * sd / 2,
             "ssmd": 2 / (sd * np.sqrt(2)), "auroc_wells": 0.9207}  # fmt: skip
    held = dict.fromkeys(NAMES, 0)
    for seed in range(screens):
        scores = score(predicted(replace(screen, seed=seed)), Roles("APP", "WT"))
        found = control_intervals(scores, controls(scores, "P1"), draws, 0)
        for name in NAMES:
            held[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
    return {name: count / screens for name, count in held.items()}


def test_intervals_cover_with_sixteen_wells() -> None:
    """Loose on purpose; docs/LOG.md has the measured coverage."""
    for name, share in coverage(16, 40).items():
        assert share > 0.75, name


def test_an_interval_lies_around_its_statistic() -> None:
    scores = score(predicted(Screen(controls=16)), Roles("APP", "WT"))
    chosen = controls(scores, "P1")
    row = plate_row(scores, chosen)
    found = control_intervals(scores, chosen, 400, 0)
    for name in NAMES:
        assert found[f"{name}_low"] <= row[name] <= found[f"{name}_high"]
    assert found == control_intervals(scores, chosen, 400, 0)
    assert found["separation_interval"] == UNDER_COVERING


@pytest.mark.parametrize("wells", [0, 1])
def test_one_well_has_no_interval(wells: int) -> None:
    scores = score(
        predicted(Screen(controls=wells, cross_fit=False)), Roles("APP", "WT")
    )
    found = control_intervals(scores, controls(scores, "P1"), 200, 0)
    assert found.pop("separation_interval") == ""
    assert all(np.isnan(value) for value in found.values())
