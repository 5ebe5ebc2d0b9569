"""Tables of data as CSV files: read as text, checked by a schema, written whole.

What a table must have is said by its own package; here is how a file of any kind is
read and written, and how pandera's first finding becomes a sentence.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandera.errors import SchemaErrors

from normgate.contract.files import write_atomic
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from pandera.pandas import DataFrameSchema


def read_text(path: Path, kind: str, remedy: str) -> pd.DataFrame:
    """Read a CSV; every cell is text, and none is missing.

    Args:
        path: The CSV.
        kind: What it should be, as `plate`.
        remedy: What to do where it can't be read.

    Raises:
        DataError: The file can't be read as a CSV.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} can't be read as a {kind} CSV ({error}); {remedy}"
        ) from error


def write_text(frame: pd.DataFrame, path: Path) -> None:
    """Write a checked table, whole or not at all."""
    text = io.StringIO()
    frame.to_csv(text, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    write_atomic(path, text.getvalue().encode())


def validate(
    frame: pd.DataFrame,
    schema: DataFrameSchema,
    path: Path | str,
    kind: str,
    remedy: str,
) -> None:
    """Check a table's columns and values.

    Args:
        frame: The table.
        schema: What it must be.
        path: What to call it in a refusal.
        kind: As in `read_text`.
        remedy: What to do about a missing column.

    Raises:
        DataError: The first thing that is wrong, with its line and how many more.
    """
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        raise DataError(_sentence(errors, path, kind, remedy)) from errors


def _sentence(errors: SchemaErrors, path: Path | str, kind: str, remedy: str) -> str:
    cases = errors.failure_cases
    first: dict[str, Any] = dict(cases.iloc[0])
    more = f" ({len(cases) - 1} more)" if len(cases) > 1 else ""
    found, rule = first["failure_case"], str(first["check"])
    found = found.item() if hasattr(found, "item") else found
    if rule == "column_in_dataframe":
        return f"{path} has no column {found!r}; {remedy}{more}"
    if rule == "column_in_schema":
        return f"{path} has a column {found!r} that the {kind} table has not{more}"
    at = "" if pd.isna(first["index"]) else f" line {int(first['index']) + 2}"
    return f"{path}{at}: column {first['column']!r} is {found!r}, which {rule}{more}"
