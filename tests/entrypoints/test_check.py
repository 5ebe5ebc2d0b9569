"""The `check` entry, and the check that a training begins with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from tests.interop.written import write
from tests.tracking.bundle_files import database

from normgate.check import BLOCKED
from normgate.plates.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SPEC = str(ROOT / "contracts" / "specs" / "plate_3ch.json")


@pytest.fixture(autouse=True)
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.syspath_prepend(str(ROOT / "entrypoints"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings = DemoSettings(plates=1, rows=3, timepoints_ms=(0,))
    with database(tmp_path):
        yield write_demo(tmp_path / "demo", settings)


def entry(name: str, *words: str) -> Result:
    """Run an entry's script in this process."""
    main = importlib.import_module(f"entrypoints.{name}").main
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def the_run() -> Run:
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return run


def spoil(demo: Path) -> None:
    """Put 8-bit pictures in the place of one channel."""
    for path in (demo.parent / "images").rglob("*_RFP1.tif"):
        eight = np.minimum(tifffile.imread(path), 255).astype(np.uint8)
        tifffile.imwrite(path, eight)


def test_reports_figure_and_findings_are_logged(demo: Path) -> None:
    command = ["--data", str(demo), "--spec", SPEC, "--sample", "12", "--out", "out"]
    result = entry("check", *command)
    assert result.exit_code == 0, result.output
    run = the_run()
    assert run.info.status == "FINISHED"
    assert run.data.tags["normgate.check"] == "yellow"
    assert run.data.metrics["check.red"] == 0
    assert run.data.metrics["check.norm.RFP1.std"] > 0.1
    files = mlflow.MlflowClient().list_artifacts(run.info.run_id)
    assert {file.path for file in files} >= {"check.html", "check.json", "check.png"}


def test_a_red_finding_leaves_with_its_own_code(demo: Path) -> None:
    spoil(demo)
    command = ["--data", str(demo), "--spec", SPEC, "--sample", "all", "--out", "out"]
    result = entry("check", *command)
    assert result.exit_code == BLOCKED
    assert the_run().info.status == "FINISHED"
    record = json.loads(Path("out/check.json").read_text())
    assert "data.RFP1.input" in [one["name"] for one in record["findings"]]


def test_configurations_are_checked_and_logged(tmp_path: Path) -> None:
    document = {"n_rays": 32, "grid": [2, 2], "n_channel_in": 1}
    write(tmp_path / "model" / "config.json", document)
    result = entry("check", "--data", str(tmp_path / "model"), "--out", "out")
    assert result.exit_code == 0, result.output
    run = the_run()
    assert run.data.tags["normgate.check"] == "yellow"
    files = mlflow.MlflowClient().list_artifacts(run.info.run_id)
    assert {file.path for file in files} == {"check.html", "check.json"}


def test_input_that_is_refused_leaves_with_2() -> None:
    command = ["--data", "nothing.csv", "--out", "out"]
    result = entry("check", *command)
    assert result.exit_code == 2
    assert "nothing.csv can't be read" in result.output
    assert the_run().info.status == "FAILED"


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        pytest.param("block", "is not fit for this training", id="block"),
        pytest.param("warn", "takes uint16", id="warn-ends-where-the-loader-refuses"),
        pytest.param("maybe", "expected block, warn, off", id="unknown"),
    ],
)
def test_a_training_on_unfit_data_stops_before_its_first_step(
    demo: Path, how: str, sentence: str
) -> None:
    spoil(demo)
    command = ["--data", str(demo), "--timepoints", "0", "--replicates", "1"]
    command += ["--folds", "3", "--epochs", "1", "--out", "work", "--check", how]
    result = entry("train_rescue", *command)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split()) + _log()
    assert the_run().info.status == "FAILED"
    assert Path("work/check/check.html").exists() == (how != "maybe")


def _log() -> str:
    found = Path("work/check/check.json")
    return found.read_text() if found.exists() else ""
