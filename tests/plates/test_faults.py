"""Faults of a demonstration's table: each says something else of the same pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
import pytest

from normgate.errors import SettingsError
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.faults import Fault, with_fault
from normgate.plates.read import read_image
from normgate.plates.schema import check, read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

SMALL = DemoSettings(plates=2, rows=4, timepoints_ms=(0,))


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return read_plate_csv(write_demo(tmp_path_factory.mktemp("demo") / "d", SMALL))


@pytest.mark.parametrize("fault", get_args(Fault))
def test_every_fault_passes_the_checks_of_a_plate_table(
    frame: pd.DataFrame, fault: Fault
) -> None:
    """None of them can be seen by looking at columns and keys."""
    before = frame.copy()
    check(with_fault(frame, fault))
    pd.testing.assert_frame_equal(frame, before)


def test_exchanged_classes_are_the_other_label_of_each_control(
    frame: pd.DataFrame,
) -> None:
    found = with_fault(frame, "classes_exchanged")["label"]
    assert set(zip(frame["label"], found, strict=True)) == {
        ("WT", "APP"), ("APP", "WT"), ("", ""),
    }  # fmt: skip


def test_shuffled_rows_keep_every_picture_and_each_rows_channels_together(
    frame: pd.DataFrame,
) -> None:
    paths = [name for name in frame if name.startswith("path_")]
    found = with_fault(frame, "rows_shuffled", seed=1)
    assert set(map(tuple, found[paths].to_numpy())) == set(
        map(tuple, frame[paths].to_numpy())
    )
    moved = (found[paths[0]] != frame[paths[0]]).mean()
    assert moved > 0.9
    assert (found["label"] == frame["label"]).all()


def test_the_column_from_the_row_letter_makes_labels_of_rows(
    frame: pd.DataFrame,
) -> None:
    found = with_fault(frame, "column_from_row_letter")
    assert found.groupby("row")["label"].unique().map(tuple).to_dict() == {
        1: ("WT",), 2: ("WT",), 3: ("APP",), 4: ("APP",),
    }  # fmt: skip


def test_where_the_label_is_the_plate_there_is_no_biology(tmp_path: Path) -> None:
    settings = DemoSettings(
        plates=2, rows=1, timepoints_ms=(0,), fault="label_is_plate"
    )
    csv = write_demo(tmp_path / "demo", settings)
    frame = read_plate_csv(csv)
    controls = frame[frame["label"] != ""]
    assert set(zip(controls["plate"], controls["label"], strict=True)) == {
        ("P1", "WT"), ("P2", "APP"),
    }  # fmt: skip
    truth = pd.read_csv(csv.parent / "truth.csv")
    assert (truth["severity"] == 0).all()
    assert (truth["toxicity"] == 0).all()


def test_halo_masked_may_hold_halos_own_counts(tmp_path: Path) -> None:
    settings = DemoSettings(plates=1, rows=1, timepoints_ms=(0,), masked="halo")
    csv = write_demo(tmp_path / "demo", settings)
    halo, masked = (
        read_image(csv.parent / f"images/P1/A03_s1_t0ms_{name}.tif")
        for name in ("HALO", "HALO_MASKED")
    )
    inside = masked > 0
    assert 0 < inside.mean() < 0.9
    np.testing.assert_array_equal(masked[inside], halo[inside])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"fault": "typo"}, "fault is 'typo', expected none"),
        ({"masked": "int"}, "masked is 'int', expected byte"),
        ({"masked": "halo", "masked_dtype": "uint8"}, "does not fit"),
    ],
)
def test_a_fault_that_is_none_is_refused(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        DemoSettings(**wrong)  # type: ignore[arg-type]
