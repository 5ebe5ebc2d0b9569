"""One pass over plates: keyed rows, one read an image, resume, quarantine, kills."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.deploy.fakes import fake_model, plate_spec, write_plates

from normgate.deploy.pipeline import deploy
from normgate.deploy.quarantine import read_quarantine
from normgate.deploy.settings import DeploySettings
from normgate.errors import DataError, DigestMismatch, Interrupted, SettingsError
from normgate.plates import tiff
from normgate.plates.load import Site, sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from normgate.deploy.models import Model
    from normgate.deploy.report import Report

ROOT = Path(__file__).resolve().parents[2]
TWO, BOTH = ("RFP1", "HALO"), ("RFP1:0ms", "HALO:0ms", "HALO:10000ms")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plates(tmp_path_factory.mktemp("plates"))


@pytest.fixture
def data(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine.parent, tmp_path / "plates")
    return tmp_path / "plates" / pristine.name


def models() -> list[Model]:
    return [
        fake_model("early", plate_spec(TWO), 0),
        fake_model("late", plate_spec(TWO), 10000),
        fake_model("both", plate_spec(BOTH), None),
    ]


def places(data: Path) -> list[Site]:
    return sites(read_plate_csv(data), data)


def run(data: Path, out: Path, used: list[Model] | None = None, **more: Any) -> Report:
    settings = DeploySettings(
        data=data, out=out, **{"batch_size": 5, "shard_sites": 3, "workers": 2, **more}
    )
    return deploy(used or models(), places(data), settings)


def table(out: Path, model: str) -> pd.DataFrame:
    parts = sorted((out / model).glob("part-*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".deploy.lock"
    }


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


def test_a_finished_job_is_not_repeated(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out")
    before = digests(tmp_path / "out")
    report = run(data, tmp_path / "out", failing())
    assert (report.images, report.resumed_sites) == (0, 10)
    assert digests(tmp_path / "out") == before


def failing() -> list[Model]:
    def forward(batch_ncyx: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a finished shard was predicted again")

    return [replace(model, forward=forward) for model in models()]


@pytest.mark.parametrize("stop_at", [1, 4, 9])
def test_a_stopped_job_resumes_to_the_identical_result(
    data: Path, tmp_path: Path, stop_at: int
) -> None:
    run(data, tmp_path / "whole")
    left = iter(range(stop_at))
    first = models()[0]

    def forward(batch_ncyx: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise Interrupted(signal.SIGTERM)
        return first.forward(batch_ncyx)

    threads = threading.active_count()
    with pytest.raises(Interrupted):
        run(data, tmp_path / "out", [replace(first, forward=forward), *models()[1:]])
    assert threading.active_count() == threads
    report = run(data, tmp_path / "out")
    assert report.resumed_sites == 3 * (stop_at // 3)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


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


def test_another_deployment_in_the_folder_is_refused(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "out")
    with pytest.raises(DigestMismatch, match=r"settings\.batch_size was 5, is 6"):
        run(data, tmp_path / "out", batch_size=6)
    newer = [replace(models()[0], version="2"), *models()[1:]]
    with pytest.raises(DigestMismatch, match=r"models\.early\.version was 1, is 2"):
        run(data, tmp_path / "out", newer)
    data.write_text(data.read_text().replace("vehicle", "other"))
    with pytest.raises(DigestMismatch, match=r"data\.sha256 was"):
        run(data, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("workers", 0), ("shard_sites", -1), ("failed_share", 1.5)],
)
def test_a_setting_out_of_range_is_named(
    tmp_path: Path, name: str, value: float
) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}"):
        DeploySettings(data=tmp_path, out=tmp_path, **{name: value})  # type: ignore[arg-type]


KILLED = """
import sys, time
from dataclasses import replace
from pathlib import Path
from tests.deploy.test_pipeline import models, run

def slow(model):
    def forward(batch_ncyx):
        time.sleep(0.05)
        return model.forward(batch_ncyx)
    return replace(model, forward=forward)

run(Path(sys.argv[1]), Path(sys.argv[2]), [slow(model) for model in models()])
"""


def test_kill_9_loses_nothing_and_repeats_nothing(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "whole")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    last = out / "both" / "part-00000.parquet"
    deadline = time.monotonic() + 240
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("part-00000.parquet")}
    assert len(kept) == 3
    assert not (out / "both" / "part-00003.parquet").exists()

    report = run(data, out)

    assert report.resumed_sites >= 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert digests(out) == digests(tmp_path / "whole")
