"""One pass over plates: keyed rows, one read an image, resume, quarantine, kills."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.deploy.passes import digests, failing, models, places, run, table

from normgate.deploy.quarantine import read_quarantine
from normgate.deploy.settings import DeploySettings
from normgate.errors import DataError, SettingsError
from normgate.plates import tiff

ROOT = Path(__file__).resolve().parents[2]


def test_every_unit_and_replicate_has_one_keyed_and_stamped_row(
    data: Path, tmp_path: Path
) -> None:
    report = run(data, tmp_path / "out")
    assert report.rows == {"early": 80, "late": 80, "both": 80}
    assert report.images == 10 * 4
    frame = table(tmp_path / "out", "both")
    keys = ["plate", "well", "site", "unit", "replicate"]
    assert not frame.duplicated(keys).any()
    assert frame["input_digest"].nunique() == 10
    assert set(frame["spec_digest"]) == {models()[2].spec_digest}
    assert set(frame["manifest_digest"]) == {"b" * 64}
    seen = (frame["split_group"] == "P1:A01") & (frame["replicate"] == 0)
    assert (frame["held_out"] == ~seen).all()


def test_a_row_holds_what_the_model_says_of_its_unit(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "out")
    model, site = models()[1], places(data)[4]
    units = model.loader.units(site, model.loader.read(site))
    logits = model.forward(torch.from_numpy(units.images)).numpy()
    frame = table(tmp_path / "out", "late")
    rows = frame[frame["well"] == site.well].set_index(["unit", "replicate"])
    for at, key in enumerate(units.keys):
        for member in (0, 1):
            row = rows.loc[key.unit, member]
            app, wt = logits[member, at]
            assert (row["y"], row["x"]) == (key.y, key.x)
            assert (row["logit_APP"], row["logit_WT"]) == (app, wt)
            odds = (float(wt) - float(app)) / (1 + member)
            assert row["probability_APP"] == pytest.approx(1 / (1 + np.exp(odds)))
            assert row["predicted_class"] == ("APP" if app > wt else "WT")


def test_models_of_one_pass_give_the_rows_that_each_gives_alone(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "together")
    for model in models():
        run(data, tmp_path / model.name, [model])
        pd.testing.assert_frame_equal(
            table(tmp_path / "together", model.name),
            table(tmp_path / model.name, model.name),
        )


def test_each_image_is_read_once_for_all_models(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    lock, real = threading.Lock(), tiff.read_bytes

    def counted(path: Path, **more: Any) -> bytes:
        with lock:
            reads[str(path)] += 1
        return real(path, **more)

    monkeypatch.setattr(tiff, "read_bytes", counted)
    run(data, tmp_path / "out")
    assert len(reads) == 10 * 4
    assert set(reads.values()) == {1}


@pytest.mark.parametrize("workers", [1, 7])
def test_threads_change_nothing(data: Path, tmp_path: Path, workers: int) -> None:
    run(data, tmp_path / "a")
    run(data, tmp_path / "b", workers=workers)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_corrupt_file_costs_only_the_models_that_use_it(
    data: Path, tmp_path: Path
) -> None:
    cut = data.parent / "images" / "A02_0_RFP1.tif"
    cut.write_bytes(cut.read_bytes()[:100])
    (data.parent / "images" / "A09_10000_RFP1.tif").unlink()
    report = run(data, tmp_path / "out")
    assert report.failed_sites == {"both": 1, "early": 1, "late": 1}
    lacking = {
        name: set(table(tmp_path / "out", "late")["well"]) ^ set(frame["well"])
        for name, frame in (
            (name, table(tmp_path / "out", name)) for name in ("early", "both")
        )
    }
    assert lacking == {"early": {"A02", "A09"}, "both": {"A02", "A09"}}
    first, second = read_quarantine(tmp_path / "out")
    assert (first.well, first.marker, first.models) == ("A02", "RFP1", "early; both")
    assert str(cut) in first.reason
    assert (second.well, second.models, second.state) == ("A09", "late", "missing")


def test_other_pixels_than_the_spec_takes_are_quarantined(
    data: Path, tmp_path: Path
) -> None:
    import tifffile

    path = data.parent / "images" / "A02_0_RFP1.tif"
    tifffile.imwrite(path, np.zeros((32, 32), dtype=np.uint8))
    report = run(data, tmp_path / "out")
    assert report.failed_sites == {"both": 1, "early": 1}
    assert "uint8" in read_quarantine(tmp_path / "out")[0].reason


def test_a_mended_file_gets_its_rows_on_the_next_run(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "whole")
    path = data.parent / "images" / "A02_0_RFP1.tif"
    pixels = path.read_bytes()
    path.unlink()
    run(data, tmp_path / "out")
    again = run(data, tmp_path / "out", failing())
    assert again.quarantined == 1
    path.write_bytes(pixels)
    report = run(data, tmp_path / "out")
    assert (report.resumed_sites, report.quarantined) == (7, 0)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_shard_of_corrupt_images_only_is_still_written(
    data: Path, tmp_path: Path
) -> None:
    for well in ("A01", "A02", "A03"):
        (data.parent / "images" / f"{well}_0_RFP1.tif").unlink()
    report = run(data, tmp_path / "out")
    assert report.rows["early"] == 7 * 8
    empty = pd.read_parquet(tmp_path / "out" / "early" / "part-00000.parquet")
    full = pd.read_parquet(tmp_path / "out" / "early" / "part-00001.parquet")
    assert list(empty.dtypes.items()) == list(full.dtypes.items())
    assert run(data, tmp_path / "out", failing()).resumed_sites == 10


def test_too_many_corrupt_images_are_a_refusal(data: Path, tmp_path: Path) -> None:
    for column in range(1, 7):
        (data.parent / "images" / f"A{column:02d}_0_RFP1.tif").unlink()
    with pytest.raises(DataError, match="6 of 10 sites can't be used by both") as no:
        run(data, tmp_path / "out")
    assert "A01_0_RFP1.tif" in str(no.value)
    assert len(read_quarantine(tmp_path / "out")) == 6
    assert run(data, tmp_path / "out", failed_share=0.6).rows["early"] == 4 * 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("workers", 0), ("shard_sites", -1), ("failed_share", 1.5)],
)
def test_a_setting_out_of_range_is_named(
    tmp_path: Path, name: str, value: float
) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}"):
        DeploySettings(data=tmp_path, out=tmp_path, **{name: value})  # type: ignore[arg-type]
