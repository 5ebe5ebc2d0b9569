"""The fusion entry as a process: trained, refused, promoted, deployed, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.tracking.conftest import clean_environment

from normgate.contract import contract_for, read_spec, to_json, write_atomic
from normgate.engine import checkpoint, member
from normgate.volumes.cases import cases, read_case_csv
from normgate.volumes.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*stages:FutureWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "contracts" / "specs"
SHORT = ("--replicates", "1", "--folds", "3", "--passes", "1", "--patch", "16,16")
QUICK = (*SHORT, "--steps", "2", "--data", "../heads/cases.csv")
SECONDS = 900


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the case CSV of nine small heads."""
    folder = tmp_path_factory.mktemp("fusion")
    write_demo(folder / "heads", DemoSettings(cases=9, seed=5, shape_zyx=(1, 16, 16)))
    return folder


def command(entry: str, *options: str) -> list[str]:
    return [sys.executable, str(ROOT / "entrypoints" / f"{entry}.py"), *options]


def environment(place: Path) -> dict[str, str]:
    place.mkdir(exist_ok=True)
    return clean_environment(
        MLFLOW_TRACKING_URI=f"sqlite:///{place}/mlflow.db",
        PYTHONPATH=f"{ROOT}/src:{ROOT}/tracking",
        OMP_NUM_THREADS="1",
    )


def run_entry(
    place: Path, *options: str, entry: str = "train_fusion"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(entry, *options),
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def runs(place: Path, kind: str) -> list[Run]:
    """The parents or children of a place, oldest first."""
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(experiments, order_by=["attributes.start_time"])
    child = kind == "children"
    return [run for run in found if ("mlflow.parentRunId" in run.data.tags) == child]


@pytest.fixture(scope="module")
def refused(base: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A model that was trained on CT in 0 to 1, for promotion under the contract."""
    place = base / "legacy"
    options = ("--spec", str(SPECS / "fusion_legacy_minmax.json"), "--epochs", "1")
    more = ("--audit", "record", "--finish", "all")
    return place, run_entry(place, *QUICK, *options, *more)


def test_the_gate_refuses_a_model_of_ct_between_0_and_1(
    refused: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    place, done = refused
    assert done.returncode == 2, done.stderr[-4000:]
    for words in (
        "Promotion of fusion-stroke version 1 to champion refused",
        "CT was trained with",
        "clip -1000..3000",
        "clip 1..1233",
    ):
        assert words in done.stderr
    assert [run.info.status for run in runs(place, "parents")] == ["FAILED"]
    assert [run.info.status for run in runs(place, "children")] == ["FINISHED"]


def test_a_child_has_what_every_family_logs(
    refused: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    place, _ = refused
    (child,) = runs(place, "children")
    params, tags = child.data.params, child.data.tags
    assert params["norm.CT.high"] == "3000"
    assert params["loss.beta"] == "1.2"
    assert params["geometry.patch"] == "[16, 16]"
    assert float(params["power_share.CT"]) < 0.1
    for name in ("family", "preset", "replicate", "spec_digest", "applied_fingerprint"):
        assert tags[f"normgate.{name}"]
    assert tags["normgate.family"] == "fusion"
    assert tags["normgate.vitals"] == "red"
    for name in ("validation_ct_low", "validation_fused_high", "test_bone_psnr_hu"):
        assert name in child.data.metrics
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    root = {file.path for file in client.list_artifacts(child.info.run_id)}
    assert {"histograms.png", "curves.png", "fusion.png", "normalization"} <= root
    pictures = [f.path for f in client.list_artifacts(child.info.run_id, "images")]
    assert any("fusion+step+1+" in path for path in pictures)
    assert child.inputs.dataset_inputs


def test_the_audit_stops_the_same_training_before_its_first_step(base: Path) -> None:
    place = base / "audited"
    legacy = str(SPECS / "fusion_legacy_minmax.json")
    options = ("--spec", legacy, "--epochs", "1", "--check", "off")
    done = run_entry(place, *QUICK, *options)
    assert done.returncode == 2
    assert "the normalization is not fit for a fusion" in done.stderr
    assert not runs(place, "children")


@pytest.fixture(scope="module")
def promoted(base: Path) -> Path:
    """A model under the contract's normalization, promoted and deployed by entries."""
    place = base / "good"
    done = run_entry(place, *QUICK, "--epochs", "1", "--mode", "regression")
    assert done.returncode == 0, done.stderr[-4000:]
    spec = read_spec(SPECS / "fusion_mri_ct.json")
    lenient = contract_for(spec, name="lenient")
    lenient = lenient.model_copy(update={"forbid_red_vitals": False})
    write_atomic(place / "lenient.json", to_json(lenient))
    options = ("--model", "fusion-stroke", "--contract", "lenient.json")
    done = run_entry(place, *options, entry="promote")
    assert done.returncode == 0, done.stderr[-4000:]
    return place


def test_deploy_writes_volumes_of_the_promoted_model(promoted: Path) -> None:
    options = ("--models", "fusion-stroke", "--data", "../heads/cases.csv")
    done = run_entry(promoted, *options, "--out", "work/fused", entry="deploy")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "9 cases, 9 volumes fused" in done.stderr
    stamps = sorted((promoted / "work" / "fused").glob("fusion-stroke/*/case.json"))
    assert len(stamps) == 9
    assert json.loads(stamps[0].read_bytes())["version"] == "1"


def test_the_registered_model_is_served_raw_volumes_alone(
    promoted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(promoted)
    mlflow.set_tracking_uri(f"sqlite:///{promoted}/mlflow.db")
    heads = promoted.parent / "heads" / "cases.csv"
    from normgate.volumes.geometry import VolumeGeometry
    from normgate.volumes.load import Loader

    loader = Loader(
        read_spec(SPECS / "fusion_mri_ct.json"), VolumeGeometry(dims=2, patch=(16, 16))
    )
    pair = loader.read(cases(read_case_csv(heads), heads)[0])
    raw = np.stack([x.astype(np.float32) for x in loader.planes(pair)])[None]
    try:
        model = mlflow.pyfunc.load_model("models:/fusion-stroke@champion")
        found = model.predict(raw)
        with pytest.raises(MlflowException, match="is not in HU") as caught:
            model.predict((raw + 1000) / 4000)
    finally:
        mlflow.set_tracking_uri(None)
    assert found["fused"].shape == found["lesion_probability"].shape == (1, 1, 16, 16)
    assert caught.value.get_http_status_code() == 400


def test_a_killed_training_goes_on_to_the_same_weights(base: Path) -> None:
    options = (*QUICK, "--epochs", "3", "--finish", "train")
    whole, cut = base / "whole", base / "cut"
    assert run_entry(whole, *options).returncode == 0
    settings = environment(cut)
    process = subprocess.Popen(
        command("train_fusion", *options),
        cwd=cut,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ends = time.monotonic() + SECONDS
    while not list((cut / "work").rglob(checkpoint.NAME)):
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = run_entry(cut, *options)
    assert done.returncode == 0, done.stderr[-4000:]
    (expected,) = (whole / "work" / "train").rglob(member.NAME)
    (found,) = (cut / "work" / "train").rglob(member.NAME)
    assert found.read_bytes() == expected.read_bytes()
