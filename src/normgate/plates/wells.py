"""Well names: `B2`, `B02` and `b02` are one well; rows and columns count from 1.

The row comes from the letters and the column from the digits, in one place, so that
no script takes a column from a row letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from normgate.errors import DataError

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9][0-9]?)")
_LETTERS = 26
MAX_ROW = 32
"""The rows of a 1536-well plate, A to AF."""
MAX_COLUMN = 48
"""The columns of a 1536-well plate."""


@dataclass(frozen=True, slots=True, order=True)
class Well:
    """One position on a plate; rows and columns count from 1."""

    row: int
    column: int

    @property
    def letters(self) -> str:
        """The row as letters: 1 is A, 26 is Z, 27 is AA."""
        first, last = divmod(self.row - 1, _LETTERS)
        return (chr(ord("A") + first - 1) if first else "") + chr(ord("A") + last)

    @property
    def name(self) -> str:
        """The well's one spelling: letters and a column of two digits, `B02`."""
        return f"{self.letters}{self.column:02d}"


def parse_well(text: str) -> Well:
    """Read a well name in any usual spelling.

    Args:
        text: Letters and digits, such as `B2`, `B02`, `b02` or `AA12`.

    Returns:
        The well.

    Raises:
        DataError: The text is no well of a plate of up to 1536 wells.
    """
    found = _WELL.fullmatch(text.strip())
    if found is None:
        msg = f"{text!r} is not a well; write letters and a column, such as B02"
        raise DataError(msg)
    row = 0
    for letter in found[1].upper():
        row = row * _LETTERS + ord(letter) - ord("A") + 1
    well = Well(row, int(found[2]))
    if well.row > MAX_ROW or well.column > MAX_COLUMN:
        msg = f"{text!r} lies outside a 1536-well plate (rows A to AF, columns 1 to 48)"
        raise DataError(msg)
    return well
