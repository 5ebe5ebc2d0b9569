from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plates.screens import Screen, predicted, simulate, write

from normgate.errors import DataError, SettingsError
from normgate.plates.aggregate import DISEASE, HEALTHY, Roles, roles, score
from normgate.plates.gather import read_predictions
from normgate.plates.predictions import ShardMeta
from normgate.plates.treatments import AggregateSettings, analyse

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Screen(controls=4, wells=2, units=3)
QUICK = AggregateSettings(bootstrap=100)
APP_WT = Roles("APP", "WT")


def test_scores_are_plain_means_of_logit_differences() -> None:
    predictions = predicted(SMALL)
    scores = score(predictions, APP_WT)
    frame = predictions.frame
    frame = frame.assign(
        score=frame["logit_APP"].astype(float) - frame["logit_WT"].astype(float)
    )
    frame = frame[frame["held_out"]]
    units = frame.groupby(["plate", "row", "column", "site", "unit"])["score"].mean()
    wells = units.groupby(["plate", "row", "column"]).mean()
    assert np.allclose(scores.units, units.to_numpy(), rtol=1e-12)
    assert np.allclose(scores.wells["score"], wells.to_numpy(), rtol=1e-12)


def test_only_replicates_that_never_saw_a_well_score_it() -> None:
    scores = score(predicted(SMALL), APP_WT)
    controls = scores.wells["role"].isin([DISEASE, HEALTHY])
    assert set(scores.wells["replicates"][controls]) == {1}
    assert set(scores.wells["replicates"][~controls]) == {2}
    assert scores.wells["held_out"].all()


def test_a_replicate_that_saw_a_well_can_say_anything_of_it() -> None:
    honest = predicted(SMALL)
    frame = honest.frame.copy()
    frame.loc[~frame["held_out"], "logit_APP"] = np.float32(99)
    again = score(replace(honest, frame=frame), APP_WT)
    pd.testing.assert_frame_equal(again.wells, score(honest, APP_WT).wells)


def test_a_well_that_every_replicate_saw_uses_all_and_says_so() -> None:
    seen = predicted(SMALL)
    frame = seen.frame.copy()
    well = (frame["plate"] == "P1") & (frame["well"] == "A01")
    frame.loc[well, "held_out"] = False
    wells = score(replace(seen, frame=frame), APP_WT).wells
    row = wells[(wells["plate"] == "P1") & (wells["well"] == "A01")].iloc[0]
    assert not row["held_out"]
    assert row["replicates"] == 2
    assert int((~wells["held_out"]).sum()) == 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_shards_changes_no_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("orders")
    frame = simulate(SMALL)
    (one,) = read_predictions(write(folder / "one", frame))
    parts = int(rng.integers(1, 5))
    (two,) = read_predictions(write(folder / "two", frame, parts=parts, order=rng))
    first, second = analyse(one, QUICK), analyse(two, QUICK)
    for name in ("wells", "plates", "treatments", "plate_treatments"):
        assert getattr(first, name).to_csv() == getattr(second, name).to_csv()


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-8, 8, width=32), gain=st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_rescue_does_not_see_a_shift_or_gain_of_a_plates_scores(
    shift: float, gain: float
) -> None:
    before = predicted(SMALL)
    frame = before.frame.copy()
    for name, sign in (("logit_APP", 1), ("logit_WT", -1)):
        frame[name] = frame[name].astype(np.float64)
        frame.loc[frame["plate"] == "P1", name] *= gain
        frame.loc[frame["plate"] == "P1", name] += sign * shift
    one, two = analyse(before, QUICK), analyse(replace(before, frame=frame), QUICK)
    assert np.allclose(one.wells["rescue"], two.wells["rescue"], atol=1e-9)
    for name in ("rescue", "low", "high"):
        assert np.allclose(one.treatments[name], two.treatments[name], atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-8, 8, width=32))
def test_a_number_added_to_every_logit_changes_nothing(shift: float) -> None:
    before = predicted(SMALL)
    frame = before.frame.copy()
    for name in ("logit_APP", "logit_WT"):
        frame[name] = frame[name].astype(np.float64) + shift
    one, two = score(before, APP_WT), score(replace(before, frame=frame), APP_WT)
    assert np.allclose(one.units, two.units, atol=1e-12)


def test_what_else_is_on_a_plate_moves_no_treatment() -> None:
    full = predicted(SMALL)
    fewer = replace(full, frame=full.frame[full.frame["treatment"] != "null"])
    one = analyse(full, QUICK).treatments
    two = analyse(fewer, QUICK).treatments
    good = one[one["treatment"] == "good"].reset_index(drop=True)
    pd.testing.assert_frame_equal(good, two, check_exact=True)


def test_a_well_with_two_treatments_is_named() -> None:
    good = predicted(SMALL)
    frame = good.frame.copy()
    frame.loc[0, "treatment"] = "other"
    with pytest.raises(DataError, match="plate P1 well A01 has treatment 'other'"):
        score(replace(good, frame=frame), APP_WT)


def test_wells_are_scored_as_the_training_judged_them_unless_told() -> None:
    screen = predicted(SMALL)
    trained = replace(screen, meta=replace(screen.meta, aggregation="median"))
    found = analyse(trained, QUICK)
    told = analyse(screen, replace(QUICK, score="median"))
    assert found.scores.how == "median"
    assert (found.wells["score"] == told.wells["score"]).all()
    assert analyse(trained, replace(QUICK, score="mean")).scores.how == "mean"
    assert analyse(screen, QUICK).scores.how == "mean"


def test_classes_follow_from_the_metadata_or_are_given() -> None:
    meta = ShardMeta(("APP", "WT"), "APP", {0: 1.0}, {})
    assert roles(meta, "rescue") == APP_WT
    assert roles(meta, "rescue", disease="WT") == Roles("WT", "APP")
    assert roles(meta, "rescue", healthy="WT") == APP_WT


@pytest.mark.parametrize(("classes", "given", "sentence"), [
    (("APP", "WT"), {"disease": "app"}, "'app' is none of model m's"),
    (("APP", "WT"), {"healthy": "APP"}, "both disease and healthy"),
    (("APP", "WT", "KO"), {}, "name the healthy one"),
])  # fmt: skip
def test_unclear_classes_are_refused(
    classes: tuple[str, ...], given: dict[str, str], sentence: str
) -> None:
    meta = ShardMeta(classes, "APP", {0: 1.0}, {})
    with pytest.raises(SettingsError, match=sentence):
        roles(meta, "m", **given)


def test_every_model_of_a_folder_is_read_apart(tmp_path: Path) -> None:
    write(tmp_path, simulate(SMALL, "app"))
    write(tmp_path, simulate(replace(SMALL, seed=1), "rescue"))
    found = read_predictions(tmp_path)
    assert [one.model for one in found] == ["app", "rescue"]
    assert len(analyse(found[0], QUICK).wells) == len(analyse(found[1], QUICK).wells)
