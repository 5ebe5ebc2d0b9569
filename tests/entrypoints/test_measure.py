"""The `measure` entry: a plate CSV in, a spec, provenance and a truthful run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest
from click.testing import CliRunner
from entrypoints.measure import main
from tests.acquisitions.studies import simulated
from tests.tracking.bundle_files import database

from normgate.contract import read_spec, spec_digest
from normgate.plates.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with database(tmp_path):
        yield write_demo(tmp_path / "demo", DemoSettings(plates=1, rows=1))


def test_a_spec_is_written_and_logged(tmp_path: Path) -> None:
    command = ["--data", "demo/plates.csv", "--out", "spec", "--timepoint", "0,10000"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    spec = read_spec(tmp_path / "spec" / "spec.json")
    assert len(spec.channels) == 6
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.tags["normgate.spec_digest"] == spec_digest(spec)
    files = mlflow.MlflowClient().list_artifacts(run.info.run_id, "normalization")
    assert sorted(file.path for file in files) == [
        "normalization/histograms.png",
        "normalization/provenance.json",
        "normalization/spec.json",
    ]


def test_existing_percentiles_become_a_spec(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(
        '{"RFP1": {"p1": 963, "p99": 9016}, "HALO": {"p1": 1783, "p99": 11525},'
        ' "HALO_MASKED": {"p1": 0, "p99": 238}}'
    )
    command = ["--data", "demo/plates.csv", "--out", "spec"]
    command += ["--from_percentiles", "p.json"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    spec = read_spec(tmp_path / "spec" / "spec.json")
    assert spec.names == ("RFP1", "HALO", "HALO_MASKED")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--percentiles", "99,1", "must rise"),
        ("--data", "nowhere.csv", "nowhere.csv can't be read"),
    ],
)
def test_a_users_error_is_one_sentence(option: str, value: str, word: str) -> None:
    command = ["--data", "demo/plates.csv", "--out", "spec", option, value]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert word in result.output
    assert "Traceback" not in result.output


def test_an_acquisition_table_is_measured_by_the_same_entry(tmp_path: Path) -> None:
    simulated(tmp_path / "imc")
    command = ["--data", "imc/acquisitions.csv", "--out", "spec", "--cofactor", "none"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    spec = read_spec(tmp_path / "spec" / "spec.json")
    assert spec.names == tuple(f"E{c + 1:04d}" for c in range(6))
    assert [step.kind for step in spec.channels[0].steps] == ["clip", "standardize"]
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.data.tags["normgate.spec_digest"] == spec_digest(spec)


def test_an_option_of_plates_is_refused_for_acquisitions(tmp_path: Path) -> None:
    simulated(tmp_path / "imc")
    command = ["--data", "imc/acquisitions.csv", "--timepoint", "0"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code != 0
    assert "timepoint is for plates" in result.output
