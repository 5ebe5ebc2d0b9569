"""Well names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.errors import DataError
from normgate.plates.wells import MAX_COLUMN, MAX_ROW, Well, parse_well

wells = st.builds(Well, st.integers(1, MAX_ROW), st.integers(1, MAX_COLUMN))


@given(wells)
def test_a_wells_name_reads_back_as_the_well(well: Well) -> None:
    assert parse_well(well.name) == well


@given(wells)
def test_padding_and_case_do_not_matter(well: Well) -> None:
    assert parse_well(f" {well.letters.lower()}{well.column}") == well


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [("B2", 2, 2), ("b02", 2, 2), ("P24", 16, 24), ("AA12", 27, 12), ("AF48", 32, 48)],
)
def test_rows_come_from_letters_and_columns_from_digits(
    text: str, row: int, column: int
) -> None:
    assert parse_well(text) == Well(row, column)


@pytest.mark.parametrize(
    "text", ["", "B", "2", "2B", "B0", "B00", "ABC1", "AG1", "A49"]
)
def test_what_is_no_well_is_refused_by_name(text: str) -> None:
    with pytest.raises(DataError, match=repr(text)):
        parse_well(text)
