from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from tests.plates.screens import Screen, predicted

from normgate.errors import SettingsError
from normgate.plates import statistics
from normgate.plates.statistics import NOMINAL, UNDER_COVERING
from normgate.plates.treatments import AggregateSettings, Analysis, analyse

if TYPE_CHECKING:
    from normgate.plates.gather import ModelPredictions

QUICK = AggregateSettings(bootstrap=200)
VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def relabelled(
    predictions: ModelPredictions, wells: int, label: str, plate: str = "P1"
) -> ModelPredictions:
    """Keep only some labelled wells of one class on one plate."""
    frame = predictions.frame
    mine = (frame["plate"] == plate) & (frame["label"] == label)
    return replace(predictions, frame=frame[~mine | (frame["row"] <= wells)])


def reason(analysis: Analysis, plate: str = "P1") -> str:
    plates = analysis.plates
    return str(plates[plates["plate"] == plate]["reason"].iloc[0])


@given(VALUES, VALUES)
def test_auroc_agrees_with_another_implementation(
    positive: list[float], negative: list[float]
) -> None:
    truth = [1] * len(positive) + [0] * len(negative)
    found = statistics.auroc(np.array(positive), np.array(negative))
    assert found == pytest.approx(roc_auc_score(truth, positive + negative), abs=1e-12)


def test_separation_by_hand() -> None:
    one, two = np.array([4.0, 5.0, 6.0]), np.array([0.0, 1.0, 2.0])
    assert statistics.z_prime(one, two) == pytest.approx(1 - 3 * 2 / 4)
    assert statistics.robust_z_prime(one, two) == pytest.approx(1 - 3 * 2.9652 / 4)
    assert statistics.ssmd(one, two) == pytest.approx(4 / np.sqrt(2))
    assert statistics.pooled_se(one, two) == pytest.approx(np.sqrt(2 / 3))
    assert statistics.auroc(one, two) == 1.0


@pytest.mark.parametrize("statistic", [
    statistics.z_prime, statistics.robust_z_prime, statistics.ssmd,
    statistics.pooled_se,
])  # fmt: skip
def test_one_well_has_no_spread(statistic: object) -> None:
    assert callable(statistic)
    assert np.isnan(statistic(np.array([1.0]), np.array([0.0, 2.0])))


def test_controls_lie_at_zero_and_one() -> None:
    wells = analyse(predicted(Screen()), QUICK).wells
    means = wells.groupby(["plate", "role"])["rescue"].mean().unstack()
    assert np.allclose(means["disease control"], 0, atol=1e-12)
    assert np.allclose(means["healthy control"], 1, atol=1e-12)


def test_known_rescues_are_found_and_not_clipped() -> None:
    screen = Screen(
        controls=16, wells=8, units=9, separation=3.0,
        drugs={"worse": -0.4, "null": 0.0, "half": 0.5, "full": 1.0, "over": 1.5},
    )  # fmt: skip
    table = analyse(predicted(screen), QUICK).treatments.set_index("treatment")
    assert list(table.index) == ["over", "full", "half", "null", "worse"]
    assert np.allclose(table["rescue"], [1.5, 1.0, 0.5, 0.0, -0.4], atol=0.25)
    assert (table["low"] < table["rescue"]).all()
    assert (table["rescue"] < table["high"]).all()
    assert table.loc["over", "concordance"] == 1.0
    assert set(table["interval"]) == {NOMINAL}


def test_a_plate_without_separation_has_no_rescue_but_a_reason() -> None:
    found = analyse(predicted(Screen(separation=0.0, seed=3)), QUICK)
    assert found.wells["rescue"].isna().all()
    assert found.treatments["rescue"].isna().all()
    assert not found.plates["rescue_defined"].any()
    assert "pooled standard errors" in reason(found)
    assert "plate P2: the control means" in found.treatments["reason"].iloc[0]


def test_controls_the_wrong_way_round_are_refused_not_flipped() -> None:
    found = analyse(predicted(Screen(separation=-2.0)), QUICK)
    assert found.wells["rescue"].isna().all()
    assert "wrong way round" in reason(found)
    assert "class order" in reason(found)


@pytest.mark.parametrize(("label", "wells"), [("APP", 0), ("WT", 1)])
def test_missing_controls_leave_one_plate_undefined(label: str, wells: int) -> None:
    found = analyse(relabelled(predicted(Screen()), wells, label), QUICK)
    assert f"{wells} control well(s) labelled {label}" in reason(found)
    assert not reason(found, "P2")
    table = found.treatments
    assert (table["defined_plates"] == 1).all()
    assert (table["plates"] == 2).all()
    assert table["rescue"].notna().all()


def test_other_labels_are_no_controls() -> None:
    predictions = predicted(Screen())
    frame = predictions.frame.assign(label="something")
    found = analyse(replace(predictions, frame=frame), QUICK)
    assert "0 control well(s) labelled APP" in reason(found)


def test_few_controls_or_few_wells_are_labelled_under_covering() -> None:
    few_controls = analyse(predicted(Screen(controls=7)), QUICK)
    assert set(few_controls.treatments["interval"]) == {UNDER_COVERING}
    assert "fewer than 8" in few_controls.plates["note"].iloc[0]
    few_wells = analyse(predicted(Screen(wells=3)), QUICK)
    assert set(few_wells.plates["interval"]) == {NOMINAL}
    assert set(few_wells.treatments["interval"]) == {UNDER_COVERING}


def test_controls_seen_in_training_are_used_only_for_want_of_others() -> None:
    predictions = predicted(Screen(controls=16, cross_fit=False))
    frame = predictions.frame.copy()
    control = frame["label"] != ""
    frame["held_out"] = ~control | (frame["row"] <= 9)
    some = analyse(replace(predictions, frame=frame), QUICK).plates
    assert set(some["disease_wells"]) == {9}
    assert some["held_out"].all()
    frame["held_out"] = ~control
    none = analyse(replace(predictions, frame=frame), QUICK).plates
    assert set(none["disease_wells"]) == {16}
    assert not none["held_out"].any()
    assert set(none["interval"]) == {UNDER_COVERING}
    assert "seen in training" in none["note"].iloc[0]


def test_the_seed_alone_decides_the_draws() -> None:
    predictions = predicted(Screen())
    one, same = (analyse(predictions, QUICK).treatments for _ in range(2))
    other = analyse(predictions, replace(QUICK, seed=1)).treatments
    assert one.to_csv() == same.to_csv()
    assert (one["low"] != other["low"]).all()
    assert (one["rescue"] == other["rescue"]).all()


def test_more_wells_make_narrower_intervals() -> None:
    widths = []
    for wells, controls in ((4, 8), (16, 48)):
        table = analyse(
            predicted(Screen(wells=wells, controls=controls)), QUICK
        ).treatments
        widths.append(float((table["high"] - table["low"]).mean()))
    assert widths[1] < 0.7 * widths[0]


def test_intervals_hold_the_truth_most_of_the_time() -> None:
    """Loose on purpose; docs/LOG.md has the measured coverage."""
    truth = {"none": 0.0, "half": 0.5, "full": 1.0}
    held = []
    for seed in range(30):
        screen = Screen(
            seed=seed, controls=8, wells=4, replicates=3, units=9, drugs=truth
        )
        for row in analyse(predicted(screen), QUICK).treatments.to_dict("records"):
            held.append(row["low"] <= truth[row["treatment"]] <= row["high"])
    assert np.mean(held) > 0.85


@pytest.mark.parametrize("draws", [0, 99, 100_001])
def test_too_few_or_too_many_draws_are_refused(draws: int) -> None:
    with pytest.raises(SettingsError, match="expected 100 to 100000 draws"):
        AggregateSettings(bootstrap=draws)
