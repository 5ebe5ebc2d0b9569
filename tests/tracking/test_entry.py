"""Entry points as processes: exit codes, run states, signals, `mlflow run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.tracking.conftest import clean_environment

from mlflow_normgate.process import start_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import Run

PATIENCE_S = 240.0
"""For what takes a second or two where nothing else runs."""
SCRIPT = """
import os, sys, time
from pathlib import Path
from mlflow_normgate.entry import run_entry
from normgate.errors import DataError
with run_entry("work", {"name": "a b", "lr": 0.001}) as run:
    Path("pid").write_text(str(os.getpid()))
    BODY
"""
LOOP = """
    for step in range(600):
        run.tracker.metrics({"loss": 1 / (step + 1)}, step)
        Path("next").write_text(str(step))
        Path("next").replace("step")
        time.sleep(0.05)
"""
PROJECT = """
name: p
entry_points:
  main:
    parameters:
      name: {type: string, default: "a b"}
      lr: {type: float, default: 1e-3}
    command: "python work.py --name {name} --lr {lr}"
  chained:
    command: "true && python work.py; exit $?"
"""


def script(folder: Path, body: str) -> Path:
    path = folder / "work.py"
    path.write_text(
        SCRIPT.replace("    BODY", textwrap.indent(textwrap.dedent(body), "    "))
    )
    return path


def run_script(folder: Path, body: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script(folder, body))],
        cwd=folder,
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def runs(folder: Path, experiment: str = "normgate") -> list[Run]:
    client = client_of(folder)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "nothing happened in time"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("body", "code", "status", "last_line"),
    [
        pytest.param(
            "run.tracker.metrics({'auroc': 0.9}, 0)",
            0,
            "FINISHED",
            "see the run",
            id="done",
        ),
        pytest.param(
            "raise DataError('row 3 of a.csv has no well')",
            2,
            "FAILED",
            "Error: row 3 of a.csv has no well",
            id="user-error",
        ),
        pytest.param(
            "1 / 0", 1, "FAILED", "ZeroDivisionError: division by zero", id="bug"
        ),
    ],
)
def test_an_entry_says_truthfully_how_it_ended(
    tmp_path: Path, body: str, code: int, status: str, last_line: str
) -> None:
    done = run_script(tmp_path, body)
    assert done.returncode == code, done.stderr
    assert last_line in done.stderr.strip().split("\n")[-1]
    assert ("Traceback" in done.stderr) is (code == 1)
    (run,) = runs(tmp_path)
    assert (run.info.run_name, run.info.status) == ("work", status)
    assert run.data.params == {"name": "a b", "lr": "0.001"}
    assert run.data.tags["normgate.entry"] == "work"


def test_experiment_tracking_and_spool_follow_the_environment(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    done = run_script(
        tmp_path,
        "",
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/db/mlflow.db",
        MLFLOW_EXPERIMENT_NAME="plate 7",
        NORMGATE_SPOOL=str(tmp_path / "elsewhere"),
    )
    assert done.returncode == 0, done.stderr
    assert len(runs(tmp_path / "db", "plate 7")) == 1
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "work").exists()


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        "",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert done.returncode == 2
    assert "the tracking server http://127.0.0.1:9 can't be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_deleted_experiment_is_one_sentence(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    client.delete_experiment(client.create_experiment("normgate"))
    done = run_script(tmp_path, "")
    assert done.returncode == 2
    assert "experiment 'normgate' is deleted" in done.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_ends_an_entry_as_killed(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path, [sys.executable, str(script(tmp_path, LOOP))])
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGTERM)  # as `mlflow run` adds to Ctrl-C
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert "run again to resume" in errors
    assert "Traceback" not in errors
    (run,) = runs(tmp_path)
    assert run.info.status == "KILLED"
    assert "loss" in run.data.metrics


def test_after_kill_9_the_next_entry_sends_reaps_and_resumes(tmp_path: Path) -> None:
    process = start(tmp_path, [sys.executable, str(script(tmp_path, LOOP))])
    process.kill()
    process.communicate()
    told = int((tmp_path / "step").read_text())
    (run,) = runs(tmp_path)
    assert run.info.status == "RUNNING"
    done = run_script(tmp_path, "assert run.resumed")
    assert done.returncode == 0, done.stderr
    assert "as KILLED: process" in done.stderr
    (run,) = runs(tmp_path)
    assert run.info.status == "FINISHED"
    history = client_of(tmp_path).get_metric_history(run.info.run_id, "loss")
    steps = sorted(point.step for point in history)
    assert steps == list(range(len(steps)))
    assert len(steps) > told


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["main", "chained"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killing_mlflow_run_alone_leaves_no_orphan(
    tmp_path: Path, entry: str, number: signal.Signals
) -> None:
    launcher = start_project(tmp_path, entry)
    pid = int((tmp_path / "pid").read_text())
    os.kill(launcher.pid, number)
    launcher.communicate()
    wait_for(lambda: start_time(pid) is None, 20)
    (run,) = runs(tmp_path)
    assert run.info.status == "KILLED"
    assert "loss" in run.data.metrics


@pytest.mark.slow
def test_ctrl_c_of_mlflow_run_ends_killed_and_a_rerun_goes_on(tmp_path: Path) -> None:
    launcher = start_project(tmp_path, "main")
    os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does
    launcher.communicate(timeout=PATIENCE_S)
    wait_for(lambda: runs(tmp_path)[0].info.status == "KILLED", 30)
    (run,) = runs(tmp_path)
    assert run.data.params == {"name": "'a b'", "lr": "1e-3"}
    script(tmp_path, "")
    done = subprocess.run(
        project_command("main"), cwd=tmp_path, env=project_env(tmp_path), check=False
    )
    assert done.returncode == 0
    assert sorted(run.info.status for run in runs(tmp_path)) == ["FINISHED", "KILLED"]


@pytest.mark.slow
def test_sigterm_to_the_entry_alone_ends_killed_though_mlflow_run_says_failed(
    tmp_path: Path,
) -> None:
    launcher = start_project(tmp_path, "main")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    launcher.communicate(timeout=PATIENCE_S)
    wait_for(lambda: runs(tmp_path)[0].info.status == "KILLED", 30)


def start(folder: Path, command: list[str], **env: str) -> subprocess.Popen[str]:
    """Start an entry and wait until it logs."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=clean_environment(**env),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: (folder / "step").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1]
    wait_for(lambda: any("loss" in run.data.metrics for run in runs(folder)))
    return process


def start_project(folder: Path, entry: str) -> subprocess.Popen[str]:
    (folder / "MLproject").write_text(PROJECT)
    script(folder, LOOP)
    return start(folder, project_command(entry), **project_env(folder))


def project_command(entry: str) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "run", ".", "-e", entry]
    return [*command, "--env-manager", "local", "--experiment-name", "normgate"]


def project_env(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    uri = f"sqlite:///{folder}/mlflow.db"
    return clean_environment(PATH=path, MLFLOW_TRACKING_URI=uri)
