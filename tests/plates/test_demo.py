"""The demonstration plates: deterministic, of real files, with a known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from normgate.errors import DataError, SettingsError
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.fates import DRUGS, fate_of
from normgate.plates.read import read_image
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

SMALL = DemoSettings(plates=2, rows=2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "plates", SMALL)


def test_the_table_is_complete_and_its_files_exist(demo: Path) -> None:
    frame = read_plate_csv(demo)
    assert len(frame) == 2 * 2 * 24 * 2
    assert frame.groupby("label").size().to_dict() == {"": 160, "APP": 16, "WT": 16}
    for name in ("path_RFP1", "path_HALO", "path_HALO_MASKED"):
        assert all((demo.parent / path).is_file() for path in frame[name])
    image = read_image(demo.parent / frame["path_HALO_MASKED"][0])
    assert (image.dtype, image.shape) == (np.uint16, (96, 96))
    assert image.max() <= 255


def test_columns_hold_what_the_plan_says() -> None:
    assert [fate_of(c).genotype for c in (1, 2, 3, 4, 5, 20, 21, 24)] == [
        "WT", "WT", "APP", "APP", "APP", "APP", "WT", "WT",
    ]  # fmt: skip
    assert {fate_of(c).treatment for c in range(1, 5)} == {"vehicle"}
    assert len({fate_of(c).treatment for c in range(5, 21)}) == len(DRUGS) == 16
    assert fate_of(3).severity == 1
    assert fate_of(5).severity == 0
    assert fate_of(21).rescue == 0


def test_the_truth_names_every_well_once(demo: Path) -> None:
    truth = pd.read_csv(demo.parent / "truth.csv")
    assert len(truth) == len(truth[["plate", "well"]].drop_duplicates()) == 2 * 48


def test_a_seed_gives_the_same_bytes_and_another_one_does_not(
    demo: Path, tmp_path: Path
) -> None:
    again = write_demo(tmp_path / "again", SMALL)
    other = write_demo(tmp_path / "other", DemoSettings(plates=1, rows=1, seed=1))
    name = "images/P1/A03_s1_t10000ms_HALO.tif"
    first = (demo.parent / name).read_bytes()
    assert (again.parent / name).read_bytes() == first
    assert (other.parent / name).read_bytes() != first
    assert again.read_bytes() == demo.read_bytes()


def test_diseased_neurons_answer_to_stimulation(demo: Path) -> None:
    frame = read_plate_csv(demo)
    frame["light"] = [
        read_image(demo.parent / path).astype(float).mean()
        for path in frame["path_HALO_MASKED"]
    ]
    means = (
        frame[frame["label"] != ""].groupby(["label", "timepoint_ms"])["light"].mean()
    )
    assert means["APP", 0] > means["WT", 0]
    assert means["APP", 10000] > means["APP", 0]
    assert means["WT", 10000] == pytest.approx(means["WT", 0], rel=0.05)


def test_percentiles_are_those_of_the_experiment(demo: Path) -> None:
    frame = read_plate_csv(demo)
    for marker, low, high in (
        ("RFP1", 963, 9016), ("HALO", 1783, 11525), ("HALO_MASKED", 0, 238),
    ):  # fmt: skip
        pixels = [read_image(demo.parent / path) for path in frame[f"path_{marker}"]]
        found = np.percentile(np.stack(pixels), [1, 99])
        assert found[0] == pytest.approx(low, abs=25)
        assert found[1] == pytest.approx(high, rel=0.2)


def test_a_finished_demo_is_kept_and_an_unfinished_one_is_written_again(
    demo: Path,
) -> None:
    image = demo.parent / "images/P1/A01_s1_t0ms_HALO.tif"
    before = image.stat().st_mtime_ns
    assert write_demo(demo.parent, SMALL) == demo
    assert image.stat().st_mtime_ns == before
    table = demo.read_bytes()
    demo.unlink()
    assert write_demo(demo.parent, SMALL).read_bytes() == table
    assert image.stat().st_mtime_ns != before


def test_a_foreign_folder_is_left_alone(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds no demo"):
        write_demo(tmp_path, SMALL)
    with pytest.raises(DataError, match="other settings"):
        write_demo(demo.parent, DemoSettings(seed=9))


def test_small_files_of_halo_masked_hold_the_same_values(
    demo: Path, tmp_path: Path
) -> None:
    small = DemoSettings(plates=1, rows=2, masked_dtype="uint8")
    name = "images/P1/B07_s1_t0ms_HALO_MASKED.tif"
    found = read_image(write_demo(tmp_path / "u8", small).parent / name)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, read_image(demo.parent / name))


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 17}, {"plates": 0}, {"timepoints_ms": (5, 5)}, {"masked_dtype": "int8"}],
)
def test_what_can_not_be_simulated_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        DemoSettings(**wrong)  # type: ignore[arg-type]
