"""The `index` entry: a folder in, a plate CSV and a truthful run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest
from click.testing import CliRunner
from entrypoints.index import main
from tests.tracking.bundle_files import database

from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with database(tmp_path):
        yield


def test_the_demo_is_indexed_and_logged(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", DemoSettings(plates=1, rows=1))
    command = ["--images", "demo", "--out", "plates.csv"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(read_plate_csv(tmp_path / "plates.csv")) == 48
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["wells"] == 24
    assert "layout demo" in run.data.tags["mlflow.note.content"]


def test_a_users_error_is_one_sentence_and_a_failed_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(main, ["--images", "empty", "--out", "plates.csv"])
    assert result.exit_code == 2
    assert "empty holds no TIFF" in result.output
    assert "Traceback" not in result.output
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FAILED"
    assert not (tmp_path / "plates.csv").exists()


def test_an_unknown_layout_is_refused() -> None:
    result = CliRunner().invoke(main, ["--images", ".", "--layout", "zarr"])
    assert result.exit_code == 2
    assert "zarr" in result.output
