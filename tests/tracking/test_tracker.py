"""What reaches MLflow through the tracker, with a server that comes and goes."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
from mlflow import MlflowClient
from mlflow.entities import Param
from mlflow.exceptions import MlflowException

from mlflow_normgate import replay
from mlflow_normgate.datasets import log_table
from mlflow_normgate.limits import checked_key, same_value
from mlflow_normgate.replay import Replay
from mlflow_normgate.runs import Place, Run, parent_run
from mlflow_normgate.spool import Header, SpoolWriter, spools
from mlflow_normgate.sync import sync_folder
from mlflow_normgate.tracker import Known, MlflowTracker
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from tests.tracking.conftest import Server


def points(run: Run, key: str) -> list[tuple[int, float]]:
    history = run.client.get_metric_history(run.run_id, key)
    return sorted((point.step, point.value) for point in history)


def artifacts(run: Run, folder: str = "") -> list[str]:
    return [item.path for item in run.client.list_artifacts(run.run_id, folder or None)]


def text_of(run: Run, artifact: str, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    path = run.client.download_artifacts(run.run_id, artifact, str(folder))
    return Path(path).read_text()


def test_runs_that_bring_the_same_data_at_once_all_have_it(
    place: Place, tmp_path: Path
) -> None:
    tables = []
    for number in range(12):
        tables.append(tmp_path / f"plates-{number}.csv")
        tables[-1].write_text(f"plate\nP{number}\n")
    begin = Barrier(4)

    def train(name: str) -> Run:
        with parent_run(place, name, name * 64) as run:
            begin.wait()
            for table in tables:
                log_table(run.tracker, table, "train")
        return run

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(train, "abcd"))
    for run in runs:
        inputs = run.client.get_run(run.run_id).inputs
        assert len(inputs.dataset_inputs) == len(tables)
    assert list(place.spool_root.iterdir()) == []


def test_everything_logged_is_on_the_server_at_the_end(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "card.json").write_text("{}")
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.params({"lr": 1e-3, "amp": False, "preset": "rescue"})
        for step in range(50):
            run.tracker.metrics({"loss": 1 / (step + 1)}, step)
        run.tracker.tags({"family": "plate"})
        run.tracker.tags({"family": "plates"})
        run.tracker.note("# A run\n\nwith a note")
        run.tracker.artifact(tmp_path / "bundle", "model")
    data = run.client.get_run(run.run_id).data
    assert data.params == {"lr": "0.001", "amp": "False", "preset": "rescue"}
    assert points(run, "loss") == [(step, 1 / (step + 1)) for step in range(50)]
    assert data.tags["family"] == "plates"
    assert data.tags["mlflow.note.content"].startswith("# A run")
    assert artifacts(run, "model/bundle") == ["model/bundle/card.json"]
    assert list(place.spool_root.iterdir()) == []


def test_nan_is_kept_and_infinity_as_mlflow_keeps_it(place: Place) -> None:
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.metrics({"kl": math.nan, "psnr": math.inf, "low": -math.inf}, 0)
    assert math.isnan(points(run, "kl")[0][1])
    assert points(run, "psnr") == [(0, 1.7976931348623157e308)]
    assert points(run, "low") == [(0, -1.7976931348623157e308)]


def test_what_is_too_long_becomes_an_artifact_and_says_so(
    place: Place, tmp_path: Path
) -> None:
    long = "".join(str(n) for n in range(4000))
    note = "\n".join(f"line {n}" for n in range(2000))
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.params({"wells": long})
        run.tracker.params({"wells": long})
        run.tracker.tags({"groups": long})
        run.tracker.note(note)
    data = run.client.get_run(run.run_id).data
    for value, folder, key in (
        (data.params["wells"], "params", "wells"),
        (data.tags["groups"], "tags", "groups"),
    ):
        assert value.endswith(
            f"[{len(long)} characters; the whole is artifact {folder}/{key}.txt]"
        )
        assert text_of(run, f"{folder}/{key}.txt", tmp_path / "got") == long
    shown = data.tags["mlflow.note.content"]
    assert len(shown) <= 8000
    assert shown.endswith(
        f"The whole text ({len(note)} characters) is artifact `note.md`."
    )
    assert text_of(run, "note.md", tmp_path / "got") == note


@pytest.mark.parametrize(
    "key",
    [
        "µm",
        "loss@1",
        "x[0]",
        "",
        "../up",
        "a//b",
        "/a",
        "a/",
        "k" * 251,
        "line\n",
        "naïve",
    ],
)
def test_a_key_that_mlflow_refuses_is_refused_at_once(key: str) -> None:
    with pytest.raises(TrackingError, match="metric key"):
        checked_key(key, "metric")


def test_a_bad_key_is_an_error_where_it_is_logged(place: Place) -> None:
    with parent_run(place, "train", "a" * 64) as run:
        for log in (
            lambda: run.tracker.params({"µm": 1}),
            lambda: run.tracker.metrics({"µm": 1.0}, 0),
            lambda: run.tracker.tags({"µm": "1"}),
        ):
            with pytest.raises(TrackingError, match="'µm' has a character"):
                log()


def test_a_picture_is_named_as_mlflow_names_it(place: Place, tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "grid.png")
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.image(tmp_path / "grid.png", "val/RFP1", 3)
        run.tracker.flush()
        ours = artifacts(run, "images")
        run.client.log_image(run.run_id, pixels, key="val/RFP1", step=3)
        both = artifacts(run, "images")
    shape = re.compile(r"timestamp\+\d+\+[0-9a-f-]{36}")
    blank = [sorted(shape.sub("T", name) for name in names) for names in (ours, both)]
    assert len(ours) == 2
    assert blank[1] == sorted(blank[0] * 2)
    assert run.client.get_run(run.run_id).data.tags["mlflow.loggedImages"] == "True"


def test_a_picture_that_is_no_png_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    with (
        parent_run(place, "train", "a" * 64) as run,
        pytest.raises(TrackingError, match="is not a PNG file"),
    ):
        run.tracker.image(tmp_path / "a.jpg", "grid", 0)


@pytest.mark.parametrize(
    ("logged", "value", "same"),
    [
        ("'a b'", "a b", True),
        ("'it'\"'\"'s'", "it's", True),
        ("1e-3", "0.001", True),
        ("'0,10000'", "0,10000", True),
        ("true", "True", True),
        ("3", "4", False),
        ("''", "30", False),
        ("a", "A", False),
    ],
)
def test_values_are_compared_by_what_they_mean(
    logged: str, value: str, same: bool
) -> None:
    assert same_value(logged, value) is same


def test_params_that_mlflow_run_logged_are_never_contradicted(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = place.client()
    made = client.create_run(place.experiment_id).info.run_id
    quoted = [Param("name", "'a b'"), Param("lr", "1e-3"), Param("epochs", "''")]
    client.log_batch(made, params=quoted)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.params({"name": "a b", "lr": 0.001, "epochs": 30, "new": 1})
        run.tracker.params({"epochs": 31})
    params = client.get_run(made).data.params
    assert params["name"] == "'a b'"
    assert params["lr"] == "1e-3"
    assert (params["epochs"], params["resolved.epochs"]) == ("''", "30")
    assert params["new"] == "1"
    assert "param 'epochs' stays" in caplog.text


def test_a_resumed_run_repeats_no_point(place: Place) -> None:
    for attempt in range(2):
        with suppress(ValueError), parent_run(place, "train", "a" * 64) as run:
            assert run.resumed is (attempt == 1)
            for step in range(3 + attempt):
                run.tracker.metrics({"loss": 1 / (step + 3), "v": math.nan}, step)
            raise ValueError("boom")
    assert points(run, "loss") == [(step, 1 / (step + 3)) for step in range(4)]
    assert [step for step, _ in points(run, "v")] == [0, 1, 2, 3]


def test_one_refused_value_holds_up_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    client = place.client()
    made = client.create_run(place.experiment_id).info.run_id
    client.log_param(made, "lr", "1")
    tracker = MlflowTracker(place.spool_root, _header(place, made), Known())
    tracker.params({"lr": 2, "epochs": 3})  # it was not told what the run holds
    tracker.metrics({"loss": 0.5}, 0)
    assert tracker.end("FINISHED")
    data = client.get_run(made).data
    assert data.params == {"lr": "1", "epochs": "3"}
    assert data.metrics == {"loss": 0.5}
    (spool,) = spools(place.spool_root)
    refused = json.loads((spool.folder / "refused.jsonl").read_text())
    assert (refused["key"], refused["value"]) == ("lr", "2")
    assert "MLflow refused 1 values" in caplog.text


class NoArtifacts(MlflowClient):
    """A server whose artifact store is away while its database answers."""

    away = True

    def log_artifact(self, *args: object, **kwargs: object) -> None:
        if self.away:
            raise MlflowException("no space in the bucket")
        super().log_artifact(*args, **kwargs)


def test_a_file_that_cannot_be_stored_does_not_hold_up_numbers(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoArtifacts, "away", True)
    made = place.client().create_run(place.experiment_id).info.run_id
    (tmp_path / "a.txt").write_text("a")
    writer = SpoolWriter(place.spool_root, _header(place, made))
    staged = writer.stage(tmp_path / "a.txt")
    writer.append({"op": "artifact", "folder": "x", "file": staged})
    writer.append({"op": "metrics", "t": 5, "step": 0, "values": {"loss": 1.5}})
    sender = Replay(writer.spool, NoArtifacts)
    with pytest.raises(replay.Unreachable, match="no space in the bucket"):
        sender.send()
    assert place.client().get_run(made).data.metrics == {"loss": 1.5}
    assert writer.spool.waiting() == 1
    writer.close()
    writer.spool.release()
    monkeypatch.setattr(NoArtifacts, "away", False)
    sync_folder(place.spool_root, connect=NoArtifacts)
    found = place.client().list_artifacts(made, "x")
    assert [item.path for item in found] == ["x/a.txt"]
    assert spools(place.spool_root) == []


def test_a_full_disk_is_told_and_not_raised(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with parent_run(place, "train", "a" * 64) as run:
        run.tracker.metrics({"loss": 1.0}, 0)
        with monkeypatch.context() as full:
            full.setattr("os.write", _no_space)
            run.tracker.metrics({"loss": 2.0}, 1)
        run.tracker.metrics({"loss": 3.0}, 2)
    assert points(run, "loss") == [(0, 1.0), (2, 3.0)]
    assert "can't be written, so a record is lost" in caplog.text


def test_logging_a_metric_takes_well_under_a_millisecond(place: Place) -> None:
    with parent_run(place, "train", "a" * 64) as run:
        took = []
        for step in range(500):
            began = time.perf_counter()
            run.tracker.metrics({"loss": 0.5, "kl": 1.5, "auroc": 0.9}, step)
            took.append(time.perf_counter() - began)
    assert sorted(took)[250] < 1e-3


@pytest.mark.slow
def test_a_server_away_for_a_while_costs_no_metric_and_no_time(
    server: Server, server_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with parent_run(server_place, "train", "a" * 64) as run:
        slowest = 0.0
        for step in range(300):
            if step == 50:
                server.stop()
            if step == 200:
                server.start()
            began = time.monotonic()
            run.tracker.metrics({"loss": 1 / (step + 1)}, step)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.02)
        assert run.tracker.flush(60)
    assert points(run, "loss") == [(step, 1 / (step + 1)) for step in range(300)]
    assert run.client.get_run(run.run_id).info.status == "FINISHED"
    assert slowest < 1.0
    assert "the tracking server is back" in caplog.text


@pytest.mark.slow
def test_a_server_that_never_comes_back_ends_nothing(
    server: Server,
    server_place: Place,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "report.txt").write_text("all is well")
    with parent_run(server_place, "train", "a" * 64) as run:
        run.tracker.metrics({"loss": 9.0}, 0)
        assert run.tracker.flush(30)
        server.stop()
        for step in range(1, 1500):
            run.tracker.metrics({"loss": 1 / step}, step)
        run.tracker.artifact(tmp_path / "report.txt")
        began = time.monotonic()
    assert time.monotonic() - began < 30
    (spool,) = spools(server_place.spool_root)
    sentence = f"1501 records wait in {spool.records_file}; send them with `normgate"
    assert sentence in caplog.text
    (still,) = sync_folder(server_place.spool_root)
    assert (still.sent, still.waiting) == (0, 1501)

    server.start()
    assert run.client.get_run(run.run_id).info.status == "RUNNING"
    (done,) = sync_folder(server_place.spool_root)
    assert (done.sent, done.waiting, done.problem) == (1501, 0, "")
    expected = [(0, 9.0), *((step, 1 / step) for step in range(1, 1500))]
    assert points(run, "loss") == expected
    assert artifacts(run) == ["report.txt"]
    assert run.client.get_run(run.run_id).info.status == "FINISHED"
    assert spools(server_place.spool_root) == []


def _no_space(descriptor: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


def _header(place: Place, run_id: str) -> Header:
    return Header(
        tracking_uri=place.tracking_uri,
        experiment_id=place.experiment_id,
        name="train",
        identity="a" * 64,
        run_id=run_id,
        tags={},
        parent_identity=None,
        start_ms=1,
    )
