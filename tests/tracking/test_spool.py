"""What a spool keeps on disk, and who may send it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_normgate.spool import Header, Progress, Spool, SpoolWriter, spools
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = Header(
    tracking_uri="sqlite:///x.db",
    experiment_id="1",
    name="replicate 0",
    identity="ab" * 32,
    run_id=None,
    tags={"family": "plate"},
    parent_identity="cd" * 32,
    start_ms=1_700_000_000_000,
)
POINT = {"op": "metrics", "t": 5, "step": 1, "values": {"loss": 0.5}}


def closed_spool(root: Path, *records: dict[str, object]) -> Spool:
    writer = SpoolWriter(root, HEADER)
    for record in records:
        writer.append(record)
    writer.close()
    writer.spool.release()
    return Spool(writer.spool.folder)


def test_a_header_and_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    spool = closed_spool(tmp_path, POINT, POINT)
    assert spool.header() == HEADER
    assert [record.body for record in spool.read(0)][1:] == [POINT, POINT]
    assert spool.waiting() == 2


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    spool = closed_spool(tmp_path, POINT, {"op": "tags", "values": {"a": "b"}})
    second = list(spool.read(0))[1]
    spool.remember(Progress(offset=second.end, run_id="r"))
    assert spool.waiting() == 1
    assert Spool(spool.folder).progress() == Progress(offset=second.end, run_id="r")


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    spool = closed_spool(tmp_path, POINT)
    with spool.records_file.open("ab") as lines:
        lines.write(b'{"op": "metrics", "t": 6, "val')
    assert [record.body for record in spool.read(0)][1:] == [POINT]


def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    spool = closed_spool(tmp_path, POINT)
    with spool.records_file.open("ab") as lines:
        lines.write(b'{"op": "met\n\xff\xfe\n' + b'{"op": "tags", "values": {}}\n')
    bodies = [record.body for record in spool.read(0)][1:]
    assert bodies == [POINT, {}, {}, {"op": "tags", "values": {}}]


def test_progress_that_was_cut_short_means_sending_again(tmp_path: Path) -> None:
    spool = closed_spool(tmp_path, POINT)
    (spool.folder / "sent.json").write_text('{"offs')
    assert spool.progress() == Progress()


def test_a_staged_copy_does_not_follow_its_original(tmp_path: Path) -> None:
    original = tmp_path / "report.txt"
    original.write_text("first")
    writer = SpoolWriter(tmp_path / "spool", HEADER)
    copy = writer.spool.folder / writer.stage(original)
    original.write_text("second")
    assert (copy.name, copy.read_text()) == ("report.txt", "first")
    writer.close()
    writer.spool.release()


def test_only_one_process_holds_a_spool(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, HEADER)
    assert not Spool(writer.spool.folder).acquire()
    code = (
        "import sys, pathlib; from mlflow_normgate.spool import Spool;"
        "sys.exit(Spool(pathlib.Path(sys.argv[1])).acquire())"
    )
    command = [sys.executable, "-c", code, str(writer.spool.folder)]
    assert subprocess.run(command, check=False).returncode == 0
    writer.close()
    writer.spool.release()
    assert subprocess.run(command, check=False).returncode == 1


def test_spools_are_found_oldest_first_and_one_by_one(tmp_path: Path) -> None:
    first, second = closed_spool(tmp_path), closed_spool(tmp_path)
    assert [spool.folder for spool in spools(tmp_path)] == [first.folder, second.folder]
    assert [spool.folder for spool in spools(first.folder)] == [first.folder]


@pytest.mark.parametrize(
    "first_line",
    [
        pytest.param('{"op": "run", "format": "normgate.spool/9"}\n', id="version"),
        pytest.param("hello\n", id="text"),
        pytest.param("", id="empty"),
    ],
)
def test_what_is_no_spool_is_refused_by_name(tmp_path: Path, first_line: str) -> None:
    (tmp_path / "records.jsonl").write_text(first_line)
    with pytest.raises(TrackingError, match=r"records\.jsonl does not begin with"):
        Spool(tmp_path).header()
