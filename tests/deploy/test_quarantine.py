"""Quarantine survives a round trip, and notices a mended file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from normgate.deploy.quarantine import (
    Quarantined,
    is_current,
    read_quarantine,
    write_quarantine,
)
from normgate.errors import DataError
from normgate.plates.read import plane_state

if TYPE_CHECKING:
    from pathlib import Path


def record(path: Path | str, shard: int = 0) -> Quarantined:
    return Quarantined(
        shard=shard,
        plate="P1",
        well="B02",
        site="1",
        marker="HALO",
        timepoint_ms="0",
        path=str(path),
        models="a b",
        state=plane_state(str(path)),
        reason='a "quoted", comma\nand a new line',
    )


def test_records_survive_a_round_trip_in_the_order_of_shards(tmp_path: Path) -> None:
    assert read_quarantine(tmp_path) == []
    late, early = record("x.tif", 7), record("y.tif", 2)
    write_quarantine(tmp_path, [late, early])
    assert read_quarantine(tmp_path) == [early, late]


def test_a_mended_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    missing = record(path)
    assert missing.state == "missing"
    assert is_current(missing)
    path.write_bytes(b"now there")
    assert not is_current(missing)
    assert is_current(record(path))


def test_a_record_without_a_file_stays(tmp_path: Path) -> None:
    assert is_current(record(""))


@pytest.mark.parametrize("text", ["plate,well\nP1,B02\n", "shard\nx\n"])
def test_a_foreign_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "quarantine.csv").write_text(text)
    with pytest.raises(DataError, match=r"quarantine\.csv"):
        read_quarantine(tmp_path)
