"""Plate tables with faults put in on purpose, through real files."""

from __future__ import annotations

import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from tests.check.facts import place

from normgate.check import BLOCKED, CheckSettings, check
from normgate.check.pictures import Row
from normgate.check.plates import spread
from normgate.check.settings import sample_size
from normgate.contract import (
    Channel,
    Mask,
    Provenance,
    Spec,
    StandardizeSample,
    read_spec,
)
from normgate.errors import DataError, SettingsError
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.schema import read_plate_csv, write_plate_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from normgate.check import Checked

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"
SPEC = read_spec(SPECS / "plate_3ch.json")
WELLS = CheckSettings(sample=48)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small plates at one timepoint."""
    settings = DemoSettings(rows=2, timepoints_ms=(0,))
    return write_demo(tmp_path_factory.mktemp("demo"), settings)


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    shutil.copytree(demo.parent, tmp_path / "copy")
    return tmp_path / "copy" / demo.name


def reds(found: Checked) -> list[str]:
    return [one.name for one in found.of("red")]


def spoil(
    table: Path, marker: str, change: Callable[[np.ndarray], np.ndarray], plate: str
) -> None:
    """Change every picture of one marker on one plate."""
    for path in (table.parent / "images" / plate).glob(f"*_{marker}.tif"):
        tifffile.imwrite(path, change(tifffile.imread(path)))


def edit(table: Path, change: Callable[[pd.DataFrame], None]) -> None:
    frame = read_plate_csv(table)
    change(frame)
    write_plate_csv(frame, table)


def test_the_demonstration_passes_and_says_how_much_was_read(demo: Path) -> None:
    found = check(demo, SPEC, WELLS)
    assert reds(found) == []
    assert found.exit_code == 0
    assert found.looked_at == "144 of 144 pictures read, 48 of 96 rows"
    assert [view.name for view in found.channels] == list(SPEC.names)
    assert all(view.after is not None for view in found.channels)


@pytest.mark.parametrize("name", ["plate_3ch_fluorescence", "plate_6ch"])
def test_another_spec_of_the_same_data_is_no_reason_to_stop(
    demo: Path, name: str
) -> None:
    spec = read_spec(SPECS / f"{name}.json")
    found = check(demo, spec, CheckSettings(sample=8))
    late = [name for name in spec.names if name.endswith(":10000ms")]
    assert reds(found) == [f"data.{name}.missing" for name in late]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda p: p + np.uint16(20000), "norm.RFP1.saturated_high", id="offset"
        ),
        pytest.param(
            lambda p: np.minimum(p, 255).astype(np.uint8), "data.RFP1.types", id="L"
        ),
        pytest.param(lambda p: p // 40, "norm.RFP1.saturated_low", id="darker"),
    ],
)
def test_a_fault_of_half_the_pictures_is_red(
    copy: Path, change: Callable[[np.ndarray], np.ndarray], expected: str
) -> None:
    spoil(copy, "RFP1", change, "P2")
    found = check(copy, SPEC, WELLS)
    assert expected in reds(found)
    assert found.exit_code == BLOCKED


def test_normalized_floats_against_a_spec_of_counts_are_red(copy: Path) -> None:
    for plate in ("P1", "P2"):
        spoil(copy, "HALO", lambda p: (p / 65535).astype(np.float32), plate)
    floats = Channel(name="HALO", input="float32", steps=SPEC.channels[1].steps)
    spec = Spec(channels=(SPEC.channels[0], floats, SPEC.channels[2]))
    found = check(copy, spec, WELLS)
    assert {"data.HALO.normalized", "norm.HALO.dead"} <= set(reds(found))


def test_exchanged_columns_are_red(copy: Path) -> None:
    def swap(frame: pd.DataFrame) -> None:
        one, other = "path_RFP1", "path_HALO_MASKED"
        frame[[one, other]] = frame[[other, one]].to_numpy()

    edit(copy, swap)
    assert "data.RFP1.HALO_MASKED.swapped" in reds(check(copy, SPEC, WELLS))


def test_a_file_under_two_names_is_red_and_so_is_its_copy(copy: Path) -> None:
    def twice(frame: pd.DataFrame) -> None:
        frame["path_HALO"] = frame["path_RFP1"]

    edit(copy, twice)
    found = reds(check(copy, SPEC, WELLS))
    assert {"data.shared_files", "data.same_pixels"} <= set(found)


def test_labels_by_plate_are_red(tmp_path: Path) -> None:
    settings = DemoSettings(rows=2, timepoints_ms=(0,), fault="label_is_plate")
    found = check(write_demo(tmp_path, settings), SPEC, CheckSettings(sample=4))
    assert "design.label_by_plate" in reds(found)


def test_what_a_training_learns_stands_for_the_labels(demo: Path) -> None:
    by_plate = {
        (plate, f"{row}{column:02d}"): plate
        for plate in ("P1", "P2")
        for row in "AB"
        for column in range(1, 25)
    }
    found = check(demo, SPEC, CheckSettings(sample=4, classes=by_plate))
    assert "design.label_by_plate" in reds(found)


def test_a_corrupt_picture_is_quarantined_and_the_rest_is_judged(copy: Path) -> None:
    broken = sorted((copy.parent / "images" / "P1").glob("*_HALO.tif"))[0]
    broken.write_bytes(broken.read_bytes()[:200])
    found = check(copy, SPEC, CheckSettings(sample=None))
    assert len(found.quarantined) == 1
    assert broken.name in found.quarantined[0]
    assert found.looked_at == "287 of 288 pictures read, 96 of 96 rows"
    assert reds(found) == []


def test_a_table_of_which_nothing_can_be_read_is_refused(copy: Path) -> None:
    shutil.rmtree(copy.parent / "images")
    with pytest.raises(DataError, match="none of 8 rows"):
        check(copy, SPEC, CheckSettings(sample=8))


def test_a_step_measured_on_each_picture_is_applied_to_each(demo: Path) -> None:
    step = StandardizeSample(
        scope="channel",
        fit_mask=Mask(),
        apply_mask=Mask(),
        outside="keep",
        eps=Decimal(0),
        eps_placement="add",
        degenerate="raise",
        ddof=0,
    )
    spec = Spec(channels=(Channel(name="RFP1", input="uint16", steps=(step,)),))
    (view,) = check(demo, spec, CheckSettings(sample=8)).channels
    assert view.after is not None
    assert view.after.mean == pytest.approx(0, abs=0.01)
    assert view.after.std == pytest.approx(1, abs=0.02)


def test_constants_measured_on_the_whole_table_are_told(demo: Path) -> None:
    digest = check(demo, None, CheckSettings(sample=1)).source_digest
    origin = Provenance(
        source=demo.name, source_digest=digest, estimator="exact histogram"
    )
    found = check(demo, SPEC, CheckSettings(sample=4), provenance=origin)
    assert {one.name: one.level for one in found.findings}[
        "design.fitted_on"
    ] == "yellow"
    held_out = CheckSettings(sample=4, training=frozenset({"P1-A01"}))
    found = check(demo, SPEC, held_out, provenance=origin)
    assert "design.fitted_on" in reds(found)


ROWS = st.lists(st.integers(0, 9), max_size=60)


@given(wells=ROWS, number=st.integers(1, 70))
def test_a_sample_takes_every_well_before_any_well_twice(
    wells: list[int], number: int
) -> None:
    rows = [
        Row(place=place(well, site=str(at)), files={}) for at, well in enumerate(wells)
    ]
    chosen = spread(rows, number)
    assert len(chosen) == min(number, len(rows))
    assert chosen == [row for row in rows if row in chosen]
    counts = Counter(row.place.well for row in chosen)
    for well, there in Counter(row.place.well for row in rows).items():
        fewest_elsewhere = max(counts.values(), default=0) - 1
        assert counts[well] >= min(there, fewest_elsewhere)


@pytest.mark.parametrize(
    ("text", "expected"), [("200", 200), ("all", None)], ids=["number", "all"]
)
def test_a_sample_is_a_number_or_all(text: str, expected: int | None) -> None:
    assert sample_size(text) == expected


@pytest.mark.parametrize("text", ["some", "-1", "1.5", ""])
def test_another_sample_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected a number of rows, or all"):
        sample_size(text)


@pytest.mark.parametrize("name", ["sample", "workers"])
def test_settings_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is 0"):
        CheckSettings(**{name: 0})


def test_a_table_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="neither a plate CSV"):
        check(table, None, CheckSettings())
    with pytest.raises(DataError, match="can't be read as a table"):
        check(tmp_path / "absent.csv", None, CheckSettings())
