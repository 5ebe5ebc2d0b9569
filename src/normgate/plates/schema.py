"""The plate table: one row per plate, well, site and timepoint, as a CSV.

Columns: plate, well (`B02`), row and column (numbers from 1, A is 1), site,
timepoint_ms, genotype, treatment, label (empty where a row has none), split_group
(rows of one group are never split between training and test), one `path_<MARKER>` for
each marker, and, where cells are cropped, mask_path or centers_path. Paths are relative
to the CSV's own folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pandera.pandas import Check, Column, DataFrameSchema

from normgate import tables
from normgate.errors import DataError
from normgate.plates.wells import parse_well

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

KIND = "plate"
KEY = ("plate", "well", "site", "timepoint_ms")
PATH_PREFIX = "path_"
_FILLED = Check.str_length(min_value=1, error="must not be empty")
_COUNTED = Check.ge(1, error="counts from 1")
_MARKER = r"^path_[A-Za-z0-9][A-Za-z0-9_.-]*$"
_INTEGERS = ("row", "column", "timepoint_ms")

SCHEMA = DataFrameSchema(
    {
        "plate": Column(str, _FILLED),
        "well": Column(str, _FILLED),
        "row": Column("int64", _COUNTED),
        "column": Column("int64", _COUNTED),
        "site": Column(str, _FILLED),
        "timepoint_ms": Column("int64", Check.ge(0, error="must be 0 or more")),
        "genotype": Column(str),
        "treatment": Column(str),
        "label": Column(str),
        "split_group": Column(str, _FILLED),
        _MARKER: Column(str, _FILLED, regex=True),
        "mask_path": Column(str, _FILLED, required=False),
        "centers_path": Column(str, _FILLED, required=False),
    },
    strict=True,
)


def markers(frame: pd.DataFrame) -> tuple[str, ...]:
    """The markers of a plate table, in the order of its path columns."""
    return tuple(
        str(name).removeprefix(PATH_PREFIX)
        for name in frame.columns
        if str(name).startswith(PATH_PREFIX)
    )


def read_plate_csv(path: Path) -> pd.DataFrame:
    """Read and check a plate table.

    Args:
        path: The CSV.

    Returns:
        The table, in the file's order; text columns are str, never missing.

    Raises:
        DataError: The file, a column, or a row's value is not what the table needs.
    """
    frame = tables.read_text(path, KIND, "make it with `index`")
    for name in _INTEGERS:
        if name in frame:
            frame[name] = _integers(frame[name], path)
    return check(frame, path)


def write_plate_csv(frame: pd.DataFrame, path: Path) -> None:
    """Check a plate table and write it whole or not at all.

    Raises:
        DataError: A column or value is not what the table needs.
    """
    tables.write_text(check(frame, path), path)


def check(frame: pd.DataFrame, path: Path | str = "the plate table") -> pd.DataFrame:
    """Check a table's columns, values, keys and completeness.

    Args:
        frame: The table.
        path: What to call it in a refusal.

    Returns:
        The table itself.

    Raises:
        DataError: The first thing that is wrong, with its row and the way to mend it.
    """
    if not any(str(name).startswith(PATH_PREFIX) for name in frame.columns):
        msg = f"{path} has no path_<MARKER> column; name at least one channel's files"
        raise DataError(msg)
    tables.validate(frame, SCHEMA, path, KIND, "make the table with `index`")
    if frame.empty:
        msg = f"{path} has no rows; check what was indexed"
        raise DataError(msg)
    _check_wells(frame, path)
    _check_keys(frame, path)
    return frame


def _integers(values: pd.Series[str], path: Path) -> pd.Series[int]:
    """Whole numbers; a cell that is none is named by its line in the file."""
    wrong = values[~values.str.fullmatch(r"-?\d{1,18}")]
    if len(wrong):
        line = int(wrong.index[0]) + 2
        msg = f"{path} line {line}: {values.name} is {wrong.iloc[0]!r}, not a number"
        raise DataError(msg)
    return values.astype("int64")


def _check_wells(frame: pd.DataFrame, path: Path | str) -> None:
    """Row and column must be the well's own: a row letter is never a column."""
    for line, (name, row, column) in enumerate(
        zip(frame["well"], frame["row"], frame["column"], strict=True), start=2
    ):
        well = parse_well(name)
        if (well.name, well.row, well.column) != (name, row, column):
            msg = (
                f"{path} line {line}: well {name} with row {row}, column {column}; "
                f"expected {well.name}, row {well.row}, column {well.column}"
            )
            raise DataError(msg)


def _check_keys(frame: pd.DataFrame, path: Path | str) -> None:
    """Each plate, well, site and timepoint once; every site has every timepoint."""
    twice = frame.duplicated(list(KEY))
    if twice.any():
        row = frame[twice].iloc[0]
        msg = f"{path}: {_place(row, KEY)} stands twice; keep one row for it"
        raise DataError(msg)
    for plate, rows in frame.groupby("plate", sort=False):
        expected = set(rows["timepoint_ms"])
        sites = rows.groupby(["well", "site"], sort=False)["timepoint_ms"]
        found = sites.nunique()
        short = found[found < len(expected)]
        if len(short):
            well, site = short.index[0]
            missing = sorted(expected - set(sites.get_group((well, site))))
            msg = (
                f"{path}: plate {plate} well {well} site {site} has no picture at "
                f"{missing[0]} ms; add it or leave out the site ({len(short)} site(s))"
            )
            raise DataError(msg)


def _place(row: pd.Series[Any], names: Sequence[str]) -> str:
    return " ".join(f"{name} {row[name]}" for name in names)
