"""Sending what an outage or a death left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.tracking.conftest import Server, clean_environment

from mlflow_normgate.spool import Header, SpoolWriter, spools
from mlflow_normgate.sync import sync_folder
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_normgate.runs import Place

LOGGER = """
import sys
from mlflow_normgate.runs import Place, parent_run
from pathlib import Path
place = Place(tracking_uri=sys.argv[1], experiment_id=sys.argv[2],
              spool_root=Path(sys.argv[3]))
with parent_run(place, "train", "a" * 64) as run:
    print(run.run_id, flush=True)
    step = 0
    while True:
        run.tracker.metrics({"loss": 1 / (step + 1)}, step)
        print(step, flush=True)
        step += 1
"""


def left_behind(place: Place, run_id: str | None, **changes: str) -> SpoolWriter:
    header = Header(
        tracking_uri=changes.get("tracking_uri", place.tracking_uri),
        experiment_id=place.experiment_id,
        name="replicate 0",
        identity="b" * 64,
        run_id=run_id,
        tags={"normgate.identity": "b" * 64},
        parent_identity=None,
        start_ms=1_700_000_000_000,
    )
    writer = SpoolWriter(place.spool_root, header)
    writer.append({"op": "metrics", "t": 5, "step": 1, "values": {"loss": 0.5}})
    return writer


def close(writer: SpoolWriter) -> None:
    writer.close()
    writer.spool.release()


def test_sending_twice_stores_a_point_once(place: Place, tmp_path: Path) -> None:
    client = place.client()
    run_id = client.create_run(place.experiment_id).info.run_id
    for _ in range(3):
        close(left_behind(place, run_id))
        (result,) = sync_folder(place.spool_root)
        assert (result.sent, result.waiting, result.problem) == (1, 0, "")
    (point,) = client.get_metric_history(run_id, "loss")
    assert (point.step, point.value, point.timestamp) == (1, 0.5, 5)


def test_a_lost_memory_of_progress_only_sends_again(place: Place) -> None:
    client = place.client()
    writer = left_behind(place, None)
    writer.append({"op": "end", "status": "FINISHED", "t": 9})
    close(writer)
    (folder,) = (spool.folder for spool in spools(place.spool_root))
    kept = (folder / "records.jsonl").read_bytes()
    for _ in range(2):
        sync_folder(place.spool_root)
        (run,) = client.search_runs([place.experiment_id])
        assert run.info.status == "FINISHED"
        assert run.info.end_time == 9
        folder.mkdir()
        (folder / "records.jsonl").write_bytes(kept.replace(b"FINISHED", b"FAILED"))
        client.update_run(run.info.run_id, status="FAILED")
        (folder / "records.jsonl").write_bytes(kept)


def test_a_spool_that_is_being_written_is_left_to_its_process(place: Place) -> None:
    writer = left_behind(place, None)
    (result,) = sync_folder(place.spool_root)
    assert result.busy
    close(writer)
    (result,) = sync_folder(place.spool_root)
    assert (result.busy, result.sent) == (False, 1)


def test_an_absent_server_is_asked_once_and_hides_no_other(place: Place) -> None:
    for _ in range(3):
        close(left_behind(place, "0" * 32, tracking_uri="http://127.0.0.1:9"))
    close(left_behind(place, None))
    began = time.monotonic()
    results = sync_folder(place.spool_root)
    assert time.monotonic() - began < 30
    assert sorted((r.sent, r.waiting) for r in results) == [
        (0, 1),
        (0, 1),
        (0, 1),
        (1, 0),
    ]
    assert len(spools(place.spool_root)) == 3


def test_records_can_be_sent_to_another_address(place: Place) -> None:
    close(left_behind(place, None, tracking_uri="http://127.0.0.1:9"))
    (result,) = sync_folder(place.spool_root, tracking_uri=place.tracking_uri)
    assert result.sent == 1
    (run,) = place.client().search_runs([place.experiment_id])
    assert run.data.metrics == {"loss": 0.5}


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="nowhere is not a folder"):
        sync_folder(tmp_path / "nowhere")


def test_what_is_no_spool_is_reported_and_kept(place: Place) -> None:
    odd = place.spool_root / "odd"
    odd.mkdir(parents=True)
    (odd / "records.jsonl").write_text("hello\n")
    (result,) = sync_folder(place.spool_root)
    assert "does not begin with" in result.problem
    assert odd.exists()


def test_a_run_that_was_deleted_meanwhile_loses_nothing(place: Place) -> None:
    run_id = place.client().create_run(place.experiment_id).info.run_id
    place.client().delete_run(run_id)
    close(left_behind(place, run_id))
    (result,) = sync_folder(place.spool_root)
    assert result.refused == 1
    assert '"loss"' in (result.folder / "refused.jsonl").read_text()


@pytest.mark.slow
def test_kill_9_of_a_logging_process_loses_no_metric(
    server: Server, server_place: Place
) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LOGGER,
            server_place.tracking_uri,
            server_place.experiment_id,
            str(server_place.spool_root),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    told = [int(process.stdout.readline()) for _ in range(3000)]
    os.kill(process.pid, signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().split("\n")[:-1] if line]
    process.stdout.close()
    process.wait()
    (spool,) = spools(server_place.spool_root)
    with spool.records_file.open("ab") as lines:
        lines.write(b'{"op": "metrics", "t": 17')
    sync_folder(server_place.spool_root)
    history = server_place.client().get_metric_history(run_id, "loss")
    steps = sorted(point.step for point in history)
    assert steps == list(range(len(steps)))
    assert steps[-1] >= told[-1]
