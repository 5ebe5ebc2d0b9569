"""How runs are opened, resumed, adopted and ended."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_normgate import mlruns
from mlflow_normgate.process import own_stamp, start_time
from mlflow_normgate.runs import Place, Run, child_run, identity_of, parent_run
from mlflow_normgate.spool import spools
from mlflow_normgate.sync import sync_folder
from normgate.errors import DataError, Interrupted, TrackingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run as MlflowRun
    from tests.tracking.conftest import Server

SETTINGS = identity_of("train", {"preset": "rescue", "replicates": 2})


def runs(place: Place) -> dict[str, MlflowRun]:
    found = place.client().search_runs([place.experiment_id])
    return {run.info.run_id: run for run in found}


def status(run: Run) -> str:
    return str(run.client.get_run(run.run_id).info.status)


def tag(run: Run, key: str) -> str | None:
    value = run.client.get_run(run.run_id).data.tags.get(key)
    return None if value is None else str(value)


def end_badly(place: Place, error: BaseException) -> Run:
    with suppress(type(error)), parent_run(place, "train", SETTINGS) as run:
        raise error
    return run


def test_an_identity_is_what_is_asked_for_not_how_it_is_spelled() -> None:
    assert identity_of("a", {"x": 1, "y": "b"}) == identity_of("a", {"y": "b", "x": 1})
    assert identity_of("a", {"x": 1}) != identity_of("b", {"x": 1})
    assert identity_of("a", {"x": 1}) != identity_of("a", {"x": 2})


@pytest.mark.parametrize(
    ("error", "ended", "key", "sentence"),
    [
        pytest.param(
            DataError("a.tif is corrupt"),
            "FAILED",
            mlruns.ERROR_TAG,
            "a.tif is corrupt",
            id="user",
        ),
        pytest.param(
            ZeroDivisionError(),
            "FAILED",
            mlruns.ERROR_TAG,
            "ZeroDivisionError",
            id="bug",
        ),
        pytest.param(
            Interrupted(15),
            "KILLED",
            mlruns.STOPPED_TAG,
            "stopped by signal 15",
            id="term",
        ),
        pytest.param(
            KeyboardInterrupt(),
            "KILLED",
            mlruns.STOPPED_TAG,
            "from the keyboard",
            id="ctrl-c",
        ),
        pytest.param(SystemExit(3), "FAILED", "none", "", id="exit-3"),
        pytest.param(SystemExit(0), "FINISHED", "none", "", id="exit-0"),
    ],
)
def test_a_run_ends_as_its_block_ended(
    place: Place, error: BaseException, ended: str, key: str, sentence: str
) -> None:
    run = end_badly(place, error)
    assert status(run) == ended
    assert sentence in (tag(run, key) or "")


def test_an_unfinished_run_is_opened_again_and_forgets_how_it_failed(
    place: Place,
) -> None:
    first = end_badly(place, ValueError("boom"))
    with parent_run(place, "train", SETTINGS) as second:
        assert second.resumed
        assert second.run_id == first.run_id
        assert status(second) == "RUNNING"
        assert tag(second, mlruns.ERROR_TAG) is None
    assert status(second) == "FINISHED"


def test_a_finished_parent_is_not_touched_again(place: Place) -> None:
    with parent_run(place, "train", SETTINGS) as first:
        pass
    with parent_run(place, "train", SETTINGS) as second:
        assert not second.resumed
    assert first.run_id != second.run_id


def test_a_rerun_skips_finished_children_and_resumes_the_others(place: Place) -> None:
    with suppress(ValueError), parent_run(place, "train", SETTINGS) as parent:
        with child_run(parent, "replicate 0", "r0", {"replicate": "0"}) as done:
            done.tracker.metrics({"auroc": 0.9}, 0)
        with child_run(parent, "replicate 1", "r1", {"replicate": "1"}) as broken:
            raise ValueError("boom")
    assert (status(done), status(broken), status(parent)) == (
        "FINISHED",
        "FAILED",
        "FAILED",
    )
    with parent_run(place, "train", SETTINGS) as again:
        with child_run(again, "replicate 0", "r0") as skipped:
            assert skipped.finished
            assert skipped.run_id == done.run_id
            skipped.tracker.metrics({"auroc": 0.1}, 0)
        with child_run(again, "replicate 1", "r1") as resumed:
            assert (resumed.resumed, resumed.finished) == (True, False)
            assert resumed.run_id == broken.run_id
    assert again.run_id == parent.run_id
    assert place.client().get_run(done.run_id).data.metrics == {"auroc": 0.9}
    assert len(runs(place)) == 3
    assert tag(resumed, "mlflow.parentRunId") == parent.run_id
    assert tag(resumed, "replicate") == "1"


def test_children_follow_to_the_parent_that_mlflow_run_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = stopped_parent_with_two_children(place)
    made = place.client().create_run(place.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with parent_run(place, "train", SETTINGS) as parent:
        assert parent.run_id == made
        for name in ("r0", "r1"):
            with child_run(parent, name, name) as child:
                assert tag(child, "mlflow.parentRunId") == made
                assert child.finished is (name == "r0")
    assert tag(former, mlruns.SUPERSEDED_TAG) == made
    assert status(former) == "KILLED"
    assert len(runs(place)) == 4


def test_a_finished_parent_keeps_its_children(place: Place) -> None:
    with (
        parent_run(place, "train", SETTINGS) as first,
        child_run(first, "r0", "r0") as done,
    ):
        pass
    with (
        parent_run(place, "train", SETTINGS) as second,
        child_run(second, "r0", "r0") as skipped,
    ):
        assert skipped.finished
    assert tag(done, "mlflow.parentRunId") == first.run_id
    assert tag(second, mlruns.REUSES_TAG) == first.run_id


def test_a_parent_with_other_settings_finds_the_same_finished_child(
    place: Place,
) -> None:
    with (
        parent_run(place, "train", SETTINGS) as first,
        child_run(first, "replicate 0", "r0") as done,
    ):
        pass
    more = identity_of("train", {"preset": "rescue", "replicates": 10})
    with (
        parent_run(place, "train", more) as second,
        child_run(second, "replicate 0", "r0") as skipped,
        child_run(second, "replicate 0, deployed", "r0") as other,
    ):
        assert skipped.finished
        assert skipped.run_id == done.run_id
        assert not other.finished


def test_the_run_of_mlflow_run_is_adopted_and_only_by_one_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place.client().create_run(place.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with parent_run(place, "train_rescue", SETTINGS) as run:
        assert (run.run_id, run.resumed) == (made, False)
        code = "import os, sys; sys.exit('MLFLOW_RUN_ID' in os.environ)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    info = place.client().get_run(made).info
    assert (info.status, info.run_name) == ("FINISHED", "train_rescue")


def test_a_name_that_a_person_gave_is_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = place.client()
    made = client.create_run(place.experiment_id, run_name="Plate 7").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    with parent_run(place, "train_rescue", SETTINGS):
        pass
    assert client.get_run(made).info.run_name == "Plate 7"


def test_a_run_of_a_live_process_is_not_taken_over(place: Place) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(other.pid) or ""
    leave_running(place, {"pid": other.pid, "started": started})
    sentence = f"process {other.pid} works on run"
    with (
        pytest.raises(TrackingError, match=sentence),
        parent_run(place, "train", SETTINGS),
    ):
        pass
    other.kill()
    other.communicate()
    with parent_run(place, "train", SETTINGS) as run:
        assert run.resumed


def test_a_run_of_another_machine_is_left_alone(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = leave_running(place, {"host": "elsewhere"})
    with parent_run(place, "train", SETTINGS) as ours:
        assert ours.run_id != theirs
    assert place.client().get_run(theirs).info.status == "RUNNING"
    assert "RUNNING on host elsewhere" in caplog.text


def test_a_server_that_is_away_at_the_start_is_said_in_a_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_normgate.runs._OPEN_PATIENCE_S", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = replace(place, tracking_uri="http://127.0.0.1:9")
    with (
        pytest.raises(TrackingError, match="no run can be opened on http://127"),
        parent_run(away, "train", SETTINGS),
    ):
        pass


@pytest.mark.slow
def test_a_child_that_begins_in_an_outage_is_created_when_it_is_over(
    server: Server, server_place: Place
) -> None:
    with parent_run(server_place, "train", SETTINGS) as parent:
        server.stop()
        with child_run(parent, "replicate 0", "r0", {"replicate": "0"}) as child:
            child.tracker.params({"seed": 7})
            child.tracker.metrics({"loss": 0.25}, 3)
            with pytest.raises(TrackingError, match="has no id yet"):
                _ = child.run_id
    assert len(spools(server_place.spool_root)) == 2
    server.start()
    for _ in range(2):
        sync_folder(server_place.spool_root)
    assert spools(server_place.spool_root) == []
    (found,) = (
        run for run in runs(server_place).values() if run.info.run_name == "replicate 0"
    )
    assert found.info.status == "FINISHED"
    assert (found.data.params, found.data.metrics) == ({"seed": "7"}, {"loss": 0.25})
    assert found.data.tags["mlflow.parentRunId"] == parent.run_id
    assert found.data.tags["replicate"] == "0"
    with (
        parent_run(server_place, "train", SETTINGS) as again,
        child_run(again, "replicate 0", "r0") as skipped,
    ):
        assert skipped.finished


def stopped_parent_with_two_children(place: Place) -> Run:
    with suppress(Interrupted), parent_run(place, "train", SETTINGS) as former:
        with child_run(former, "r0", "r0"):
            pass
        with child_run(former, "r1", "r1"):
            raise Interrupted(15)
    return former


def leave_running(place: Place, changes: Mapping[str, object]) -> str:
    stamp = {**json.loads(own_stamp().to_json()), **changes}
    tags = {
        mlruns.IDENTITY_TAG: SETTINGS,
        "normgate.process": json.dumps(stamp),
        "normgate.host": str(stamp["host"]),
    }
    made = place.client().create_run(place.experiment_id, tags=tags)
    return str(made.info.run_id)
