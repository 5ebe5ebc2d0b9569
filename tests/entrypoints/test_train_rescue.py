"""The train_rescue entry as a process: the whole way, and every way to be stopped."""

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
from tests.tracking.conftest import clean_environment

from normgate.engine import checkpoint, member
from normgate.families import open_bundle
from normgate.plates.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*stages:FutureWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
# A plate of four rows, one model, two replicates of many short epochs.
FEW = ("--data", "../demo/plates.csv", "--timepoints", "0", "--replicates", "2")
SHORT = (*FEW, "--folds", "3", "--epochs", "80", "--finish", "train")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rescue")
    write_demo(folder / "demo", DemoSettings(plates=1, rows=4))
    return folder


def command(*options: str) -> list[str]:
    return [sys.executable, str(ROOT / "entrypoints" / "train_rescue.py"), *options]


def environment() -> dict[str, str]:
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tracking")))
    return clean_environment(PYTHONPATH=path, OMP_NUM_THREADS="1")


def run_entry(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    place.mkdir(exist_ok=True)
    return subprocess.run(
        command(*options),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def client(place: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{place}/mlflow.db")


def runs(place: Path, where: str) -> list[Run]:
    found = client(place)
    ids = [one.experiment_id for one in found.search_experiments()]
    return list(found.search_runs(ids, where))


def children(place: Path) -> list[Run]:
    return runs(place, "tags.`normgate.replicate` != ''")


def parents(place: Path) -> list[Run]:
    return runs(place, "tags.`normgate.entry` = 'train_rescue'")


def weights(place: Path) -> dict[str, bytes]:
    """Every finished replicate, by its folder."""
    found = (place / "work" / "train").rglob(member.NAME)
    return {path.parent.name: path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def whole(base: Path) -> Path:
    """A training that nothing stopped."""
    done = run_entry(base / "whole", *SHORT)
    assert done.returncode == 0, done.stderr[-4000:]
    return base / "whole"


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        pytest.param(signal.SIGKILL, -signal.SIGKILL, None, id="kill-9"),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, "KILLED", id="terminated"),
    ],
)
def test_a_stopped_training_is_taken_up_and_ends_alike(
    base: Path, whole: Path, number: signal.Signals, code: int, status: str | None
) -> None:
    place = base / number.name
    place.mkdir()
    process = subprocess.Popen(
        command(*SHORT), cwd=place, env=environment(), stderr=subprocess.DEVNULL
    )
    wait_for_epochs(place, 5)
    process.send_signal(number)
    assert process.wait(timeout=240) == code
    assert not weights(place)
    if status is not None:
        assert {run.info.status for run in children(place)} == {status}
        assert {run.info.status for run in parents(place)} == {status}

    done = run_entry(place, *SHORT)

    assert done.returncode == 0, done.stderr[-4000:]
    assert "resuming after epoch" in done.stderr
    assert weights(place) == weights(whole)
    assert len(children(place)) == len(children(whole)) == 2
    assert {run.info.status for run in children(place)} == {"FINISHED"}


def wait_for_epochs(place: Path, epochs: int) -> None:
    """Wait until some checkpoint was written so often."""
    ends, seen = time.monotonic() + 240, set()
    while len(seen) < epochs:
        assert time.monotonic() < ends
        for path in (place / "work" / "train").rglob(checkpoint.NAME):
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.005)


def test_a_rerun_trains_and_registers_nothing_again(whole: Path) -> None:
    before = weights(whole)
    done = run_entry(whole, *SHORT)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("(finished before)") == 2
    assert weights(whole) == before
    assert len(children(whole)) == 2
    versions = client(whole).search_model_versions("name='rescue-0ms'")
    assert [version.version for version in versions] == [1]


def test_a_child_holds_what_two_runs_are_compared_by(whole: Path) -> None:
    (child, _) = sorted(children(whole), key=lambda run: run.info.run_name)
    data = child.data
    assert data.params["norm.RFP1.low"] == "963"
    assert data.params["norm.HALO_MASKED.std"] == "0.225"
    assert data.params["fit.epochs"] == "80"
    assert data.params["model.backbone"] == "demo"
    assert data.params["geometry.window"] == "32"
    assert data.tags["normgate.timepoint_ms"] == "0"
    assert len(data.tags["normgate.spec_digest"]) == 64
    assert "| RFP1 |" in data.tags["mlflow.note.content"]
    assert {"test_auroc", "test_ece", "temperature", "train_loss"} <= set(data.metrics)
    assert "vital.norm.HALO_MASKED.dead" in data.metrics
    history = client(whole).get_metric_history(child.info.run_id, "train_loss")
    assert sorted({point.step for point in history}) == list(range(1, 81))
    assert child.inputs.dataset_inputs
    stored = client(whole).list_artifacts(child.info.run_id, "normalization")
    assert "normalization/spec.json" in [item.path for item in stored]


def test_pictures_lie_where_the_ui_compares_them(whole: Path) -> None:
    """MLflow's compare page shows files at the root of both runs, and no folders."""
    child = children(whole)[0]
    stored = client(whole).list_artifacts(child.info.run_id)
    names = {item.path for item in stored if not item.is_dir}
    assert {
        "curves.png",
        "histograms.png",
        "roc_calibration.png",
        "units.png",
    } <= names


def test_the_parent_carries_the_headline_figures(whole: Path) -> None:
    parent = parents(whole)[-1]
    assert "rescue-0ms.test_auroc" in parent.data.metrics
    assert parent.data.params["norm.RFP1.low"] == "963"


def test_the_registered_model_takes_raw_counts(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whole)
    mlflow.set_tracking_uri(f"sqlite:///{whole}/mlflow.db")
    try:
        loaded = mlflow.pyfunc.load_model("models:/rescue-0ms/1")
        rng = np.random.default_rng(0)
        raw = rng.integers(0, 12000, (2, 3, 32, 32)).astype(np.uint16)
        found = loaded.predict(raw)
    finally:
        mlflow.set_tracking_uri(None)
    bundle = open_bundle(whole / "work" / "bundles" / "rescue-0ms")
    for name, expected in bundle.predict(raw).items():
        assert np.array_equal(found[name], expected)


@pytest.fixture(scope="module")
def way(base: Path) -> subprocess.CompletedProcess[str]:
    """A training that goes on to promotion, predictions and treatments."""
    options = (*FEW, "--folds", "4", "--epochs", "30", "--finish", "all")
    return run_entry(base / "way", *options)


def test_the_whole_way_ends_with_treatments_and_figures(
    base: Path, way: subprocess.CompletedProcess[str]
) -> None:
    done = way
    assert done.returncode == 0, done.stderr[-4000:]
    assert "0 red" in done.stderr
    assert "rescue-0ms version 1: promoted to champion" in done.stderr
    version = client(base / "way").get_model_version_by_alias("rescue-0ms", "champion")
    assert int(version.version) == 1
    results = base / "way" / "work" / "results"
    assert list(results.rglob("summary.md"))
    assert list(results.rglob("*.png"))
    assert "mlflow ui --backend-store-uri" in done.stderr


def test_diff_tells_what_a_mismatch_would_cost_the_promoted_model(
    base: Path, way: subprocess.CompletedProcess[str]
) -> None:
    assert way.returncode == 0
    specs = ROOT / "contracts" / "specs"
    words = ["diff", specs / "plate_3ch.json", specs / "plate_3ch_fluorescence.json"]
    words += ["--data", base / "demo" / "plates.csv", "--out", base / "cost"]
    words += ["--model", "models:/rescue-0ms@champion", "--sample", "60"]
    uri = {"MLFLOW_TRACKING_URI": f"sqlite:///{base}/way/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", "from normgate.cli import main; main()", *words],
        cwd=base / "way",
        env=environment() | uri,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-4000:]
    assert "rescue-0ms version 1, trained under the first spec" in done.stdout
    told = json.loads((base / "cost" / "diff.json").read_text())["predictions"]
    assert told["own_spec"] == "first"
    assert set(told["by_label"]) == {"APP", "WT", "no label"}
    assert told["all"]["mean_abs_dp"] > 0.05
    one_class = told["all"]["positive_second"]
    assert min(one_class, 1 - one_class) < 0.1


def test_the_wrong_normalization_is_trained_and_refused(base: Path) -> None:
    wrong = ROOT / "contracts" / "specs" / "plate_3ch_fluorescence.json"
    options = (*FEW, "--folds", "3", "--epochs", "2", "--finish", "all")
    done = run_entry(base / "wrong", *options, "--spec", str(wrong))
    assert done.returncode == 2
    for words in ("RFP1 was trained with", "mean 0.2233 std 0.1644", "clip 963..9016"):
        assert words in done.stderr
    assert [run.info.status for run in parents(base / "wrong")] == ["FAILED"]
    assert {run.info.status for run in children(base / "wrong")} == {"FINISHED"}


def test_a_label_that_is_unknown_ends_in_one_sentence(base: Path) -> None:
    done = run_entry(base / "label", *SHORT, "--classes", "WT,Null")
    assert done.returncode == 2
    assert "has label 'APP'; expected WT or Null" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run.info.status for run in parents(base / "label")] == ["FAILED"]
