"""Fieller's interval and wells that look healthy: by hand, by simulation, undefined."""

from __future__ import annotations

import numpy as np
import pytest
from tests.plates.screens import Screen, predicted

from normgate.plates.beside import fieller, healthy_like
from normgate.plates.treatments import AggregateSettings, analyse

RNG = np.random.default_rng(0)


def test_fieller_holds_the_truth_as_often_as_it_says() -> None:
    held = []
    for _ in range(800):
        low, high = fieller(
            RNG.normal(1.0, 0.7, 6), RNG.normal(2.0, 0.7, 8), RNG.normal(0.0, 0.7, 8)
        )
        held.append(low <= 0.5 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_fieller_of_a_known_denominator_is_students() -> None:
    """With controls that hardly vary it is the interval of a mean."""
    treated = np.array([0.4, 0.5, 0.6, 0.9])
    disease, healthy = (np.array([m - 1e-9, m, m + 1e-9]) for m in (1.0, 0.0))
    low, high = fieller(treated, disease, healthy)
    reach = 2.364624 * treated.std(ddof=1) / 2  # t of 10 - 3 degrees of freedom
    assert (low, high) == pytest.approx((0.4 - reach, 0.4 + reach), abs=1e-5)


def test_controls_that_can_t_be_told_apart_give_no_interval() -> None:
    same = np.array([0.0, 1.0, 2.0])
    assert np.isnan(fieller(same, same + 0.1, same)).all()
    assert np.isnan(fieller(same[:1], same + 9, same)).all()


def test_wells_like_healthy_ones_are_counted() -> None:
    healthy = RNG.normal(0, 1, 400)
    assert healthy_like(np.array([0.0, 1.5, 2.5, 9.0]), healthy) == 0.5
    assert np.isnan(healthy_like(np.array([0.0]), healthy[:1]))


def test_both_stand_in_the_table_of_plates_and_treatments() -> None:
    screen = Screen(controls=12, wells=6, separation=4.0)
    found = analyse(predicted(screen), AggregateSettings(bootstrap=100))
    table = found.plate_treatments.set_index("treatment")
    assert (table["fieller_low"] < table["rescue"]).all()
    assert (table["rescue"] < table["fieller_high"]).all()
    likes = found.treatments.set_index("treatment")["healthy_like"]
    assert likes["good"] > likes["null"]
