"""The plate table: what is wrong is named by line, column and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from normgate.errors import DataError
from normgate.plates.schema import check, markers, read_plate_csv, write_plate_csv

if TYPE_CHECKING:
    from pathlib import Path


def table() -> pd.DataFrame:
    rows = [
        {
            "plate": "P1",
            "well": well,
            "row": 2,
            "column": int(well[1:]),
            "site": site,
            "timepoint_ms": time,
            "genotype": "Null",
            "treatment": "NA",
            "label": "",
            "split_group": f"P1:{well}",
            "path_HALO": f"{well}_{site}_{time}.tif",
        }
        for well in ("B02", "B03")
        for site in ("1", "2")
        for time in (0, 10000)
    ]
    return pd.DataFrame(rows)


def test_a_table_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "plates.csv"
    write_plate_csv(table(), path)
    found = read_plate_csv(path)
    pd.testing.assert_frame_equal(found, table(), check_dtype=False)
    assert markers(found) == ("HALO",)
    assert list(found["genotype"].unique()) == ["Null"]
    assert list(found["label"].unique()) == [""]


def spoiled(column: str, row: int, value: object) -> pd.DataFrame:
    frame = table()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame.astype(table().dtypes)


CASES = [
    pytest.param(spoiled("well", 3, "B2"), ["line 5", "well B2", "B02"], id="spelling"),
    pytest.param(spoiled("column", 1, 3), ["line 3", "expected B02"], id="column"),
    pytest.param(spoiled("row", 0, 0), ["line 2", "'row' is 0", "from 1"], id="row-0"),
    pytest.param(
        spoiled("path_HALO", 2, ""),
        ["line 4", "'path_HALO'", "not be empty"],
        id="path",
    ),
    pytest.param(
        spoiled("timepoint_ms", 0, -1),
        ["line 2", "timepoint_ms", "0 or more"],
        id="time",
    ),
    pytest.param(
        spoiled("timepoint_ms", 1, 0), ["B02 site 1", "stands twice"], id="double"
    ),
    pytest.param(
        table().drop(index=7), ["B03 site 2", "no picture at 10000"], id="timepoint"
    ),
    pytest.param(table().drop(columns="label"), ["no column 'label'"], id="no-label"),
    pytest.param(table().assign(oops="1"), ["'oops'", "has not"], id="unknown"),
    pytest.param(
        table().drop(columns="path_HALO"), ["no path_<MARKER>"], id="no-channel"
    ),
    pytest.param(table().iloc[:0], ["no rows"], id="empty"),
]


@pytest.mark.parametrize(("frame", "words"), CASES)
def test_what_is_wrong_is_said(frame: pd.DataFrame, words: list[str]) -> None:
    with pytest.raises(DataError) as refusal:
        check(frame.reset_index(drop=True), "plates.csv")
    for word in ["plates.csv", *words]:
        assert word in str(refusal.value)


def test_a_number_that_is_none_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "plates.csv"
    write_plate_csv(table(), path)
    path.write_text(path.read_text().replace("P1,B02,2,2,2,0", "P1,B02,2,2,2,1.5 s"))
    with pytest.raises(DataError, match=r"line 4: timepoint_ms is '1\.5 s'"):
        read_plate_csv(path)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv"):
        read_plate_csv(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match=r"x\.csv"):
        read_plate_csv(tmp_path / "x.csv")
