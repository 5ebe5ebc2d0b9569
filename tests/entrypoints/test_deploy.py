"""The deploy entry as a process: promoted models only, resumable, truthful runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.deploy.bundles import make_bundle
from tests.deploy.fakes import plate_spec, write_plates
from tests.tracking.bundle_files import database, log_folder
from tests.tracking.conftest import clean_environment

from mlflow_normgate.deployment import references
from mlflow_normgate.registry import bind_contract
from normgate.contract import contract_for
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")
ROOT = Path(__file__).resolve().parents[2]
SPEC = plate_spec(("RFP1", "HALO", "HALO_MASKED"))
CONTRACT = contract_for(SPEC, name="plate", floors=())


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder: plates, a database, two promoted models and a candidate."""
    folder = tmp_path_factory.mktemp("registry")
    write_plates(folder / "plates", wells=12)
    with database(folder) as client:
        for name, time_ms in (("rescue-0ms", 0), ("rescue-10000ms", 10000)):
            version = register(client, folder, name, time_ms)
            client.set_registered_model_alias(name, "champion", version)
        version = register(client, folder, "young", 0)
        client.set_registered_model_alias("young", "candidate", version)
    return folder


def register(client: MlflowClient, folder: Path, name: str, time_ms: int) -> str:
    bundle = folder / "bundles" / name / "bundle"
    make_bundle(bundle, SPEC, time_ms)
    logged = log_folder(client, bundle)
    bind_contract(name, CONTRACT, "for a test")
    found = client.create_model_version(
        name, logged.source, logged.run_id, model_id=logged.model_id
    )
    return str(found.version)


@pytest.fixture
def place(registry: Path, tmp_path: Path) -> Path:
    """A working folder of the test's own, on a copy of the registry's database."""
    shutil.copyfile(registry / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(registry / "plates", tmp_path / "plates")
    return tmp_path


def command(*options: str) -> list[str]:
    script = ROOT / "entrypoints" / "deploy.py"
    fixed = ["--data", "plates/plates.csv", "--batch-size", "8"]
    return [sys.executable, str(script), *fixed, *options]


def environment() -> dict[str, str]:
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tracking")))
    return clean_environment(PYTHONPATH=path, OMP_NUM_THREADS="1")


def run_entry(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def last_run(place: Path) -> Run:
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    experiment = client.get_experiment_by_name("normgate")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    return client.get_run(run.info.run_id)  # a search leaves out the model inputs


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.parquet"))
    }


def test_all_models_of_a_contract_are_deployed_in_one_pass(place: Path) -> None:
    (place / "plates" / "images" / "A05_0_HALO.tif").write_bytes(b"II*\0")
    done = run_entry(place, "--contract", "plate")
    assert done.returncode == 0, done.stderr
    assert "12 sites, 71 images" in done.stderr
    assert "1 quarantined, see quarantine.csv" in done.stderr
    run = last_run(place)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["rows.rescue-0ms"] == 11 * 4 * 2
    assert run.data.metrics["rows.rescue-10000ms"] == 12 * 4 * 2
    assert run.data.metrics["quarantined"] == 1
    assert run.data.params["model.rescue-0ms.version"] == "1"
    assert len(run.inputs.model_inputs) == 2
    assert len(run.inputs.dataset_inputs) == 1


def test_a_model_that_is_not_promoted_is_refused_in_a_sentence(place: Path) -> None:
    done = run_entry(place, "--models", "young@candidate")
    assert done.returncode == 2
    assert "'young@candidate' is not promoted" in done.stderr
    assert "Traceback" not in done.stderr
    assert last_run(place).info.status == "FAILED"
    assert not (place / "work" / "predictions").exists()


SMALL = ("--models", "rescue-0ms,models:/rescue-10000ms@champion", "--workers", "1")
SMALL = (*SMALL, "--shard-sites", "1", "--batch-size", "1")


@pytest.fixture(scope="module")
def whole(registry: Path) -> dict[str, str]:
    """The files of a deployment that nobody stopped."""
    done = run_entry(registry, *SMALL, "--out", "whole")
    assert done.returncode == 0, done.stderr
    return digests(registry / "whole")


@pytest.mark.slow
def test_rays_workers_verify_the_models_and_give_the_same_files(
    place: Path, whole: dict[str, str]
) -> None:
    done = run_entry(place, *SMALL, "--engine", "ray")
    assert done.returncode == 0, done.stderr
    assert digests(place / "work" / "predictions") == whole
    assert last_run(place).data.params["engine"] == "ray"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        pytest.param(signal.SIGKILL, -signal.SIGKILL, None, id="kill-9"),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, "KILLED", id="SIGTERM"),
        pytest.param(signal.SIGINT, 128 + signal.SIGINT, "KILLED", id="Ctrl-C"),
    ],
)
def test_a_stopped_deployment_resumes_to_the_identical_result(
    place: Path, whole: dict[str, str], number: int, code: int, status: str | None
) -> None:
    process = subprocess.Popen(
        command(*SMALL), cwd=place, env=environment(), stderr=subprocess.DEVNULL
    )
    out = place / "work" / "predictions"
    ends = time.monotonic() + 240
    while not (out / "rescue-10000ms").exists() and time.monotonic() < ends:
        time.sleep(0.001)
    process.send_signal(number)
    assert process.wait(timeout=240) == code
    assert status is None or last_run(place).info.status == status
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    pairs = {path.name for path in kept if path.parent.name == "rescue-10000ms"}

    done = run_entry(place, *SMALL)

    assert done.returncode == 0, done.stderr
    assert 0 < len(kept) < len(whole)
    assert digests(out) == whole
    finished = {path: at for path, at in kept.items() if path.name in pairs}
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert last_run(place).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("models", "contract"), [("", ""), ("a", "b"), (" , ", "")], ids=str
)
def test_models_or_a_contract_must_be_named(models: str, contract: str) -> None:
    with pytest.raises(SettingsError, match="name the promoted models"):
        references(models, contract, "champion")


def test_an_alias_is_added_where_none_is_named() -> None:
    assert references("a, models:/b@best", "", "champion") == (
        "a@champion",
        "models:/b@best",
    )
