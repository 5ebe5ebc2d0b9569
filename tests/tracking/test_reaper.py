"""Which runs a dead process leaves are closed, and which are never touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from mlflow_normgate import reaper
from mlflow_normgate.mlruns import REAPED_TAG
from mlflow_normgate.process import is_dead, own_stamp, parse_stamp, start_time
from mlflow_normgate.reaper import reap
from mlflow_normgate.runs import Place, parent_run

PROJECT = {"mlflow.source.type": "PROJECT"}
DAY_MS = 24 * 3600 * 1000


def stamped(**changes: object) -> dict[str, str]:
    stamp = {**json.loads(own_stamp().to_json()), **changes}
    return {"normgate.process": json.dumps(stamp), "normgate.host": str(stamp["host"])}


def status_after_reaping(place: Place, tags: dict[str, str], age_ms: int = 0) -> str:
    client = place.client()
    start = int(time.time() * 1000) - age_ms
    run_id = client.create_run(place.experiment_id, start, tags).info.run_id
    reap(client, [place.experiment_id])
    return str(client.get_run(run_id).info.status)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_whose_process_is_gone_is_closed_with_the_reason(place: Place) -> None:
    client = place.client()
    pid = ended_process()
    tags = stamped(pid=pid, started="1")
    run_id = client.create_run(place.experiment_id, tags=tags).info.run_id
    (closed,) = reap(client, [place.experiment_id])
    assert closed.run_id == run_id
    run = client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.info.end_time is not None
    assert f"process {pid} on" in run.data.tags[REAPED_TAG]
    assert reap(client, [place.experiment_id]) == []


def test_a_process_number_that_was_given_again_is_another_process(
    place: Place,
) -> None:
    assert status_after_reaping(place, stamped(started="1")) == "KILLED"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="this-process-lives"),
        pytest.param({"pid": os.getppid()}, id="another-live-process"),
        pytest.param({"pid": 0, "host": "elsewhere"}, id="another-host"),
        pytest.param({"pid": 0, "boot": "other"}, id="same-host-name-another-boot"),
        pytest.param({"pid": 0, "space": "pid:[1]"}, id="another-container"),
        pytest.param({"pid": 0, "started": ""}, id="start-unknown"),
    ],
)
def test_what_is_not_certainly_dead_stays_running(
    place: Place, changes: dict[str, object]
) -> None:
    if changes.get("pid") == os.getppid():
        changes = {**changes, "started": start_time(os.getppid())}
    assert status_after_reaping(place, stamped(**changes)) == "RUNNING"


def test_a_run_that_nothing_of_ours_marked_stays_running(place: Place) -> None:
    assert status_after_reaping(place, {}, DAY_MS) == "RUNNING"


def test_a_young_run_of_mlflow_run_stays_running(place: Place) -> None:
    assert status_after_reaping(place, PROJECT) == "RUNNING"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param([], "KILLED", id="no-process"),
        pytest.param([(b"/bin/sh", False)], "KILLED", id="older-shell"),
        pytest.param(
            [(b"python\0-m\0uvicorn\0mlflow.server", False)], "KILLED", id="server"
        ),
        pytest.param([(b"python\0notebook.py", False)], "RUNNING", id="older-python"),
        pytest.param([(b"/bin/conda", True)], "RUNNING", id="carries-the-run"),
    ],
)
def test_an_old_run_that_no_entry_began_is_closed_only_if_nobody_can_begin_it(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    others: list[tuple[bytes, bool]],
    expected: str,
) -> None:
    client = place.client()
    start = int(time.time() * 1000) - DAY_MS
    run_id = client.create_run(place.experiment_id, start, PROJECT).info.run_id
    mark = f"MLFLOW_RUN_ID={run_id}".encode()
    processes = [
        reaper._Process(command, (mark,) if carries else (), 1.0)
        for command, carries in others
    ]
    monkeypatch.setattr(reaper, "_other_processes", lambda: processes)
    monkeypatch.setattr(reaper, "_INITIAL_SPACE", own_stamp().space)
    reap(client, [place.experiment_id])
    assert client.get_run(run_id).info.status == expected


def test_in_a_container_an_unmarked_run_is_never_certain(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "_INITIAL_SPACE", "pid:[another]")
    monkeypatch.setattr(reaper, "_other_processes", list)
    assert status_after_reaping(place, PROJECT, DAY_MS) == "RUNNING"


def test_the_processes_of_this_machine_are_seen() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env={**os.environ, "MLFLOW_RUN_ID": "abc"},
    )
    try:
        deadline = time.monotonic() + 10
        while not any(
            b"MLFLOW_RUN_ID=abc" in process.environment
            and process.looks_like_python
            and abs(process.started_s - time.time()) < 60
            for process in reaper._other_processes()
        ):
            assert time.monotonic() < deadline
    finally:
        child.kill()
        child.communicate()


def test_a_live_run_of_this_process_is_not_reaped(place: Place) -> None:
    with parent_run(place, "train", "a" * 64) as run:
        assert reap(run.client, [place.experiment_id]) == []


def test_a_stamp_survives_its_tag_and_rubbish_is_none() -> None:
    assert parse_stamp(own_stamp().to_json()) == own_stamp()
    assert not is_dead(own_stamp())
    for rubbish in ("", "{}", "[1]", '{"pid": 1}', "x"):
        assert parse_stamp(rubbish) is None
