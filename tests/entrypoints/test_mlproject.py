"""Every entry by `mlflow run`, one after the other, in a copy of the checkout.

MLproject's agreement with the scripts is `test_project`'s matter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from mlflow import MlflowClient
from tests.tracking.conftest import clean_environment

from normgate.acquisitions.demo import DemoSettings as StackSettings
from normgate.acquisitions.demo import write_demo as write_stacks
from normgate.contract import contract_for, read_spec, to_json, write_atomic
from normgate.plates.demo import DemoSettings, write_demo
from normgate.volumes.demo import DemoSettings as HeadSettings
from normgate.volumes.demo import write_demo as write_heads

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ENTRIES = list(yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"])
PATTERN = (
    r"(?P<plate>P\d+)/(?P<well>[A-P]\d+)_s(?P<site>\d+)_t(?P<timepoint_ms>\d+)ms_"
    r"(?P<channel>\w+)\.tif"
)
TINY = {"data": "demo/plates.csv", "replicates": "1", "folds": "3", "epochs": "1"}
SIX_CHANNELS = {**TINY, "finish": "train"}
HEADS = {
    "data": "heads/cases.csv",
    "patch": "16,16",
    "passes": "1",
    "steps": "2",
    "finish": "train",
}
STEPS: dict[str, dict[str, str]] = {
    "index": {
        "images": "demo/images",
        "layout": "pattern",
        "pattern": PATTERN,
        "column_rule": "1-2=WT,3-4=APP",
    },
    "measure": {"data": "demo/plates.csv"},
    "check": {"data": "demo/plates.csv", "spec": "contracts/specs/plate_3ch.json"},
    "train_rescue": {**TINY, "timepoints": "0"},
    "train_app": SIX_CHANNELS,
    "train_wt": SIX_CHANNELS,
    "train_binary": SIX_CHANNELS,
    "train_fusion": {**TINY, **HEADS},
    "train_imc": {
        **TINY,
        "data": "stacks/acquisitions.csv",
        "statistics": "measure",
        "latent": "4",
        "finish": "train",
    },
    "tune": {
        "data": "demo/plates.csv",
        "trials": "2",
        "top": "0",
        "folds": "3",
        "epochs": "1",
        "lr": "1e-3:1e-2",
    },
    "promote": {"model": "rescue-0ms", "contract": "lenient.json"},
    "deploy": {"models": "rescue-0ms", "data": "demo/plates.csv"},
    "aggregate": {"predictions": "work/predictions"},
    "replay": {"size": "reduced", "seeds": "0", "arms": "best"},
}
"""What each entry is run with, in an order in which each finds what it needs."""
SECONDS = 900


def copied(folder: Path) -> Path:
    """A copy of what git knows or would take of the checkout."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    for name in names.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def environment(project: Path, **more: str) -> dict[str, str]:
    """No MLflow settings but the project's own database, and this very Python."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    uri = f"sqlite:///{project}/mlflow.db"
    return clean_environment(
        PATH=path, MLFLOW_TRACKING_URI=uri, OMP_NUM_THREADS="1", **more
    )


def mlflow_run(
    project: Path, entry: str, manager: str, parameters: dict[str, str], **more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlflow", "run", ".", "-e", entry]
    command += ["--env-manager", manager]
    for name, value in parameters.items():
        command += ["-P", f"{name}={value}"]
    return subprocess.run(
        command,
        cwd=project,
        env=environment(project, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, small plates, and a contract on normalization alone."""
    folder = copied(tmp_path_factory.mktemp("project"))
    write_demo(folder / "demo", DemoSettings(plates=1, rows=6))
    write_heads(folder / "heads", HeadSettings(cases=6, shape_zyx=(1, 16, 16)))
    stacks = StackSettings(patients=4, per_slide=8, channels=6)
    write_stacks(folder / "stacks", stacks)
    spec = read_spec(ROOT / "contracts" / "specs" / "plate_3ch.json")
    contract = contract_for(spec, name="lenient")
    contract = contract.model_copy(update={"forbid_red_vitals": False})
    write_atomic(folder / "lenient.json", to_json(contract))
    return folder


@pytest.fixture(scope="module")
def walked(project: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What each entry did, run in order by `--env-manager local`."""
    return {
        entry: mlflow_run(project, entry, "local", parameters)
        for entry, parameters in STEPS.items()
    }


def test_every_entry_is_a_step_of_the_way() -> None:
    assert sorted(STEPS) == sorted(ENTRIES)


@pytest.mark.parametrize("entry", STEPS)
def test_mlflow_runs_the_entry_in_the_active_environment(
    walked: dict[str, subprocess.CompletedProcess[str]], project: Path, entry: str
) -> None:
    assert walked[entry].returncode == 0, walked[entry].stderr[-4000:]
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(
        experiments, f"tags.`mlflow.project.entryPoint` = '{entry}'"
    )
    assert [run.info.status for run in runs] == ["FINISHED"]


@pytest.fixture
def environments(tmp_path: Path) -> Iterator[Path]:
    """Where environments are made: kept if $NORMGATE_TEST_ENVS says where."""
    kept = os.environ.get("NORMGATE_TEST_ENVS")
    yield Path(kept) if kept else tmp_path / "environments"
    shutil.rmtree(tmp_path / "environments", ignore_errors=True)


@pytest.mark.skipif(
    shutil.which("pyenv") is None, reason="MLflow's virtualenv manager needs pyenv"
)
def test_mlflow_runs_an_entry_in_an_environment_of_its_own(
    environments: Path, tmp_path: Path
) -> None:
    folder = copied(tmp_path / "project")
    write_demo(folder / "demo", DemoSettings(plates=1, rows=1))
    more = {"MLFLOW_ENV_ROOT": str(environments)}
    done = mlflow_run(folder, "index", "virtualenv", STEPS["index"], **more)
    assert done.returncode == 0, done.stderr[-4000:]
    (made,) = environments.glob("mlflow-*")
    assert str(made) in done.stderr
    assert (folder / "work" / "plates.csv").is_file()
