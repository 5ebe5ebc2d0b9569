"""The replay entry as a process: killed, taken up, skipped, and what it shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.tracking.conftest import clean_environment

from normgate.engine import checkpoint

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*stages:FutureWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
ASKED = ("--incident", "rescue", "--size", "reduced", "--seeds", "0")
ONE = (*ASKED, "--arms", "best")


def command(*options: str) -> list[str]:
    return [sys.executable, str(ROOT / "entrypoints" / "replay.py"), *options]


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
        timeout=900,
        check=False,
    )


def runs(place: Path, where: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    ids = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(ids, where))


def children(place: Path) -> dict[str, Run]:
    found = runs(place, "tags.`normgate.arm` != ''")
    return {run.data.tags["normgate.arm"]: run for run in found}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay that was killed in training."""
    place = tmp_path_factory.mktemp("replay")
    process = subprocess.Popen(
        command(*ONE), cwd=place, env=environment(), stderr=subprocess.DEVNULL
    )
    ends = time.monotonic() + 600
    seen: set[int] = set()
    while len(seen) < 3:
        assert time.monotonic() < ends
        seen |= {p.stat().st_mtime_ns for p in place.rglob(checkpoint.NAME)}
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    return place


@pytest.fixture(scope="module")
def resumed(killed: Path) -> Path:
    """The same, taken up and finished, then asked for one arm more."""
    assert not list(killed.rglob("outcome.json"))
    done = run_entry(killed, *ONE)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "resuming after epoch" in done.stderr
    more = run_entry(killed, *ASKED, "--arms", "best,classes_exchanged")
    assert more.returncode == 0, more.stderr[-4000:]
    assert more.stderr.count("(finished before)") == 1
    return killed


def test_each_arm_and_seed_is_one_finished_child(resumed: Path) -> None:
    found = children(resumed)
    assert set(found) == {"best", "classes_exchanged"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    best = found["best"].data
    assert best.params["norm.RFP1.low"] == "963"
    assert best.params["fit.epochs"] == "12"
    assert {"auroc", "rescue_spearman", "vital.norm.RFP1.dead"} <= set(best.metrics)
    client = MlflowClient(f"sqlite:///{resumed}/mlflow.db")
    history = client.get_metric_history(found["best"].info.run_id, "train_loss")
    assert sorted(point.step for point in history) == list(range(1, 13))


def test_another_order_of_classes_gives_one_minus_the_auroc(resumed: Path) -> None:
    of = {arm: run.data.metrics["auroc"] for arm, run in children(resumed).items()}
    assert of["classes_exchanged"] == pytest.approx(1 - of["best"], abs=1e-6)


def test_the_parent_shows_table_figure_and_verdicts(resumed: Path) -> None:
    parents = runs(resumed, "tags.`normgate.entry` = 'replay'")
    newest = max(parents, key=lambda run: run.info.start_time)
    assert newest.info.status == "FINISHED"
    assert newest.data.metrics["best.auroc"] > 0.5
    note = newest.data.tags["mlflow.note.content"]
    assert "| arm | AUROC of units |" in note
    assert "could not be judged" in note
    client = MlflowClient(f"sqlite:///{resumed}/mlflow.db")
    names = {item.path for item in client.list_artifacts(newest.info.run_id)}
    assert {"arms.png", "crossed.png", "outcomes.csv", "summary.csv"} <= names
    assert "summary.md" in names


def test_what_lies_on_disk_is_what_the_child_shows(resumed: Path) -> None:
    (path,) = (p for p in resumed.rglob("outcome.json") if p.parts[-3] == "best")
    kept, shown = json.loads(path.read_bytes()), children(resumed)["best"].data
    assert kept["metrics"]["auroc"] == shown.metrics["auroc"]
    assert shown.tags["normgate.vitals"] in ("green", "yellow")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--incident", "atlantis"), "expected one of fusion, imc, rescue"),
        (("--arms", "befor"), "it has before, after, best"),
        (("--seeds", ""), "seeds is empty"),
        (("--size", "huge"), "expected demo or reduced"),
    ],
    ids=["incident", "arms", "seeds", "size"],
)
def test_a_wrong_parameter_ends_in_one_sentence(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    done = run_entry(tmp_path, *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
