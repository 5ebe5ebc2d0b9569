"""The aggregate entry as a process: its files, its run, its refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mlflow import MlflowClient
from tests.plates.screens import META, Screen, simulate, write
from tests.tracking.conftest import clean_environment

from normgate.plates.predictions import write_shard

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")
SCRIPT = Path(__file__).resolve().parents[2] / "entrypoints" / "aggregate.py"
SCREEN = Screen(controls=8, units=3)


def aggregate(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the entry in a folder that holds `work/predictions`."""
    uri = f"sqlite:///{folder}/mlflow.db"
    environment = clean_environment(MLFLOW_TRACKING_URI=uri, OMP_NUM_THREADS="1")
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--bootstrap", "100", *options],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def only_run(folder: Path) -> tuple[MlflowClient, Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("normgate")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def test_tables_figures_and_headline_are_written_and_logged(tmp_path: Path) -> None:
    write(tmp_path / "work" / "predictions", simulate(SCREEN), parts=2)
    done = aggregate(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "open work/results/report.html" in done.stderr
    wells = pd.read_csv(tmp_path / "work" / "results" / "wells.csv")
    assert len(wells) == 2 * (2 * SCREEN.controls + 2 * SCREEN.wells)
    client, run = only_run(tmp_path)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["rescue.defined_plates"] == 2
    assert run.data.tags["normgate.spec_digest.rescue"] == "a" * 64
    assert "# Plates" in run.data.tags["mlflow.note.content"]
    written = client.list_artifacts(run.info.run_id, "aggregate")
    assert "aggregate/report.html" in [found.path for found in written]
    figures = client.list_artifacts(run.info.run_id, "aggregate/figures/rescue")
    assert [Path(found.path).name for found in figures] == [
        "controls.png", "plate-P1.png", "plate-P2.png", "treatments.png",
    ]  # fmt: skip


def test_mixed_digests_are_refused_in_a_sentence_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "work" / "predictions"
    frame = simulate(SCREEN)
    write(folder, frame.iloc[:30])
    other = frame.iloc[30:].assign(manifest_digest="7" * 64)
    write_shard(folder / "rescue" / "part-00001.parquet", other, META)
    done = aggregate(tmp_path)
    assert done.returncode == 2
    (line,) = [text for text in done.stderr.splitlines() if "Error" in text]
    assert "manifest 777777777777" in line
    assert "manifest bbbbbbbbbbbb: 30 rows in part-00000.parquet" in line
    assert not (tmp_path / "work" / "results").exists()
    assert only_run(tmp_path)[1].info.status == "FAILED"


def test_an_unfinished_deployment_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "work" / "predictions", simulate(SCREEN))
    job = '{"data": {"sites": 5}, "settings": {"shard_sites": 4}}'
    (folder / "deploy.json").write_text(job)
    done = aggregate(tmp_path)
    assert done.returncode == 2
    assert "lacks part-00001.parquet (1 missing); run deploy again" in done.stderr
