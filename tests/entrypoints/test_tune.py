"""The tune entry as a process: workers killed and replaced, studies resumed, refused.

What its parameters mean is checked in process, for that needs no data.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import pytest
from mlflow import MlflowClient
from tests.tracking.conftest import clean_environment

from normgate.engine.bundle import read_card
from normgate.errors import SettingsError
from normgate.plates.demo import DemoSettings, write_demo
from normgate.tune.analysis import rows_of

if TYPE_CHECKING:
    from types import ModuleType

    from mlflow.entities import Run

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 4
SAID = "said.txt"
OPTIONS = {
    "data": "../demo/plates.csv",
    "trials": str(TRIALS),
    "workers": "2",
    "objectives": "auroc,nll",
    "top": "1",
    "seeds": "2",
    "heartbeat": "1",
    "folds": "3",
    "epochs": "30",
    "batch_size": "8",
    "lr": "1e-3:1e-2",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    write_demo(folder / "demo", DemoSettings(plates=1, rows=4))
    (folder / "run").mkdir()
    return folder / "run"


def started(place: Path, **changed: str) -> subprocess.Popen[bytes]:
    options = [f"--{key}={value}" for key, value in {**OPTIONS, **changed}.items()]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tracking")))
    with (place / SAID).open("w") as said:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "entrypoints" / "tune.py"), *options],
            cwd=place,
            env=clean_environment(PYTHONPATH=path, OMP_NUM_THREADS="1"),
            stderr=said,
        )


def ended(place: Path, process: subprocess.Popen[bytes], code: int) -> str:
    try:
        process.wait(timeout=900)
    finally:
        process.kill()
    said = (place / SAID).read_text()
    assert process.returncode == code, said[-4000:]
    return said


def study(place: Path) -> optuna.Study:
    file = place / "work" / "tune" / "rescue-0ms" / "study.db"
    return optuna.load_study(study_name="rescue-0ms", storage=f"sqlite:///{file}")


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The worker processes, by what they run."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [
        pid
        for pid in map(int, listed.split())
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def kill_one_in_its_trial(place: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until both workers are in a trial, and kill -9 one of them."""
    ends = time.monotonic() + 600
    while running(place) < 2:
        assert time.monotonic() < ends
        assert process.poll() is None, (place / SAID).read_text()[-4000:]
        time.sleep(0.1)
    os.kill(workers(process)[0], signal.SIGKILL)


def running(place: Path) -> int:
    """How many trials run; asked without Optuna, which would make the tables."""
    file = place / "work" / "tune" / "rescue-0ms" / "study.db"
    query = "SELECT COUNT(*) FROM trials WHERE state = 'RUNNING'"
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """A study of two workers, one of which was killed in its trial."""
    process = started(place)
    kill_one_in_its_trial(place, process)
    said = ended(place, process, 0)
    assert "was killed by signal 9; another one goes on" in said
    return place


def runs(place: Path, where: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    ids = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(ids, where))


@pytest.mark.slow
def test_a_killed_workers_trial_is_run_again_and_not_counted(whole: Path) -> None:
    rows = rows_of(study(whole))
    assert {row.state for row in rows} <= {"complete", "pruned"}
    assert len(rows) == TRIALS
    assert sum(row.kills for row in rows) == 1
    of_trials = [
        run
        for run in runs(whole, "tags.`normgate.study` = 'rescue-0ms'")
        if run.info.run_name in {f"trial {number}" for number in range(TRIALS)}
    ]
    assert len(of_trials) == TRIALS
    assert {run.info.status for run in of_trials} == {"FINISHED"}
    told = {
        run.info.run_name: run.data.tags["normgate.trial_state"] for run in of_trials
    }
    assert told == {f"trial {row.slot}": row.state for row in rows}


@pytest.mark.slow
def test_the_parent_shows_the_whole_study(whole: Path) -> None:
    client = MlflowClient(f"sqlite:///{whole}/mlflow.db")
    (parent,) = runs(whole, "tags.`normgate.entry` = 'tune'")
    data = parent.data
    history = client.get_metric_history(parent.info.run_id, "trial.auroc")
    done = [row.slot for row in rows_of(study(whole)) if row.state == "complete"]
    assert sorted(point.step for point in history) == done
    assert data.params["space.lr"] == "0.001:0.01:log"
    assert data.params["budget.epochs"] == "30"
    assert data.metrics["trials.killed_and_retried"] == 1
    assert "Pareto front" in data.tags["mlflow.note.content"]
    stored = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {
        "pareto_front.png",
        "slices.png",
        "parallel_coordinates.png",
        "search_space.json",
        "trials.csv",
        "report.md",
    } <= stored


@pytest.mark.slow
def test_the_best_are_bundles_and_the_command_trains_them(whole: Path) -> None:
    folder = whole / "work" / "tune" / "rescue-0ms"
    (bundle,) = (folder / "bundles").iterdir()
    card = read_card(bundle)
    assert [member.seed for member in card.members] == [1, 2]
    report = (folder / "report.md").read_text()
    assert "mlflow run . -e train_rescue -P data=" in report
    assert f"-P lr={card.settings['fit']['lr']!r}" in report
    assert "-P epochs=30" in report
    assert "| preset |" in report


@pytest.mark.slow
def test_a_rerun_trains_nothing_again(whole: Path) -> None:
    before = len(study(whole).get_trials())
    said = ended(whole, started(whole), 0)
    assert "every trial was run before" in said
    assert len(study(whole).get_trials()) == before


@pytest.mark.slow
def test_a_resume_with_another_spec_is_refused(whole: Path) -> None:
    other = ROOT / "contracts" / "specs" / "plate_3ch_fluorescence.json"
    said = ended(whole, started(whole, spec=str(other)), 2)
    assert "was begun otherwise" in said
    assert "spec_digest was " in said
    assert "fork=true" in said


DEFAULTS = {
    "family": "plate",
    "preset": "",
    "data": "",
    "spec": "",
    "trials": 4,
    "workers": 1,
    "objectives": "",
    "single": "false",
    "sampler": "tpe",
    "top": 3,
    "seeds": 2,
    "study": "",
    "storage": "",
    "fork": "false",
    "heartbeat": 10,
    "seed": 0,
    "out": "work",
    "engine": "local",
    "ray_address": "",
}


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "entrypoints"))
    import _tune_options

    return _tune_options


def test_what_mlproject_does_not_name_is_for_the_training(options: ModuleType) -> None:
    given = ["--kld_scale", "1e-4:1e-2", "--epochs=3"]
    request = options.parse(DEFAULTS | {"data": "a.csv"}, given)
    assert request.training == {
        "data": "a.csv",
        "kld_scale": "1e-4:1e-2",
        "epochs": "3",
    }


@pytest.mark.parametrize(
    ("changed", "further", "words"),
    [
        pytest.param({"trials": 0}, [], "trials is 0, expected 1", id="no-trials"),
        pytest.param({"seeds": 1}, [], "at least 2", id="one-seed-has-no-spread"),
        pytest.param({"sampler": "grid"}, [], "tpe, nsga2, random", id="sampler"),
        pytest.param({"single": "maybe"}, [], "true or false", id="flag"),
        pytest.param({"study": "a/b"}, [], "letters, digits", id="name"),
        pytest.param({}, ["--lr"], "without a value", id="no-value"),
        pytest.param({}, ["lr=3"], "without a name", id="no-name"),
    ],
)
def test_parameters_are_checked_before_anything_starts(
    options: ModuleType, changed: dict[str, object], further: list[str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        options.parse(DEFAULTS | changed, further)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        pytest.param({"epochs": "many"}, "epochs is 'many'", id="no-number"),
        pytest.param({"kld_scale": "1"}, "neither a weight nor", id="unknown"),
        pytest.param({"preset": "none"}, "preset is 'none'", id="preset"),
        pytest.param({"timepoints": "0,10000"}, "expected one", id="two-models"),
    ],
)
def test_a_familys_parameters_are_checked_too(
    options: ModuleType, tmp_path: Path, training: dict[str, str], words: str
) -> None:
    import _tune_families

    with pytest.raises(SettingsError, match=words):
        _tune_families.prepared("plate", training, tmp_path, 0)


@pytest.mark.parametrize(
    ("family", "training", "objectives", "words"),
    [
        pytest.param("imc", {"kld_scale": "abc"}, (), "kld_scale is 'abc'", id="text"),
        pytest.param("imc", {"cosine": "1:0"}, (), "is not below", id="inverted"),
        pytest.param("imc", {"perm": "0:1"}, (), "no weight 'perm'", id="no-permuter"),
        pytest.param("fusion", {"alpha": "1:2"}, (), "it is the gauge", id="gauge"),
        pytest.param("fusion", {"betta": "1:2"}, (), "neither a weight", id="unknown"),
        pytest.param("fusion", {}, ("train_loss",), "shrink the weights", id="loss"),
        pytest.param("plate", {"lr": "0:1"}, (), "numbers from 1e-09", id="zero"),
        pytest.param(
            "plate", {"aggregation": "mean,max"}, (), "some of mean", id="no-such-way"
        ),
        pytest.param(
            "plate",
            {"aggregation": "mean,median"},
            ("auroc",),
            "changes none of the objectives auroc; add one of well_auroc",
            id="not-judged",
        ),
    ],
)
def test_weights_and_objectives_are_checked_before_data_are_read(
    options: ModuleType,
    tmp_path: Path,
    family: str,
    training: dict[str, str],
    objectives: tuple[str, ...],
    words: str,
) -> None:
    import _tune

    absent = {"data": str(tmp_path / "absent.csv"), **training}
    request = options.parse(DEFAULTS | {"family": family}, [])
    chosen = replace(request, training=absent, objectives=objectives, out=tmp_path)
    with pytest.raises(SettingsError, match=words):
        _tune._prepared(chosen)


def test_an_unknown_family_is_told_the_known_ones(
    options: ModuleType, tmp_path: Path
) -> None:
    import _tune_families

    with pytest.raises(SettingsError, match="expected one of plate"):
        _tune_families.prepared("plates", {}, tmp_path, 0)
