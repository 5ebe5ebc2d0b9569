"""What each well holds: genotype, treatment and label, by a CSV or by a column rule."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.errors import DataError, SettingsError
from normgate.plates.wells import MAX_COLUMN, Well, parse_well

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VEHICLE = "vehicle"
"""The treatment of a well that got the solvent alone."""
_COLUMNS = re.compile(r"(\d+)(?:-(\d+))?")
_KNOWN = frozenset({"plate", "well", "genotype", "treatment", "label"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one well holds; an empty text where nothing is known."""

    genotype: str = ""
    treatment: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateMap:
    """The content of wells, by plate and well or by column."""

    wells: Mapping[tuple[str, str], Content]
    """By plate (empty for every plate) and well name; all wells must be named."""
    columns: Mapping[int, Content]
    """By column; a column that is not named holds nothing known."""
    source: str = ""

    def content(self, plate: str, well: Well) -> Content:
        """What a well holds.

        Raises:
            DataError: The map names wells, but not this one.
        """
        if self.wells:
            for key in ((plate, well.name), ("", well.name)):
                if key in self.wells:
                    return self.wells[key]
            msg = f"{self.source} does not name plate {plate} well {well.name}; add it"
            raise DataError(msg)
        return self.columns.get(well.column, Content())


EMPTY = PlateMap(wells={}, columns={})


def parse_column_rule(text: str) -> PlateMap:
    """Read a rule such as `1-2=WT,3-4=APP` or `1,6=WT,7,12=Null`.

    Genotype and label are what the rule says; other columns have neither.

    Raises:
        SettingsError: The rule is malformed, or a column stands twice.
    """
    columns: dict[int, Content] = {}
    waiting: list[int] = []
    for part in text.split(","):
        numbers, is_last, name = (piece.strip() for piece in part.partition("="))
        waiting += _columns(numbers, text)
        if not is_last:
            continue
        if not name:
            raise SettingsError(f"column rule {text!r} gives no name after {numbers}=")
        for column in waiting:
            if column in columns:
                raise SettingsError(f"column rule {text!r} names column {column} twice")
            columns[column] = Content(genotype=name, label=name)
        waiting = []
    if waiting:
        raise SettingsError(f"column rule {text!r} ends without a name; write 1-2=WT")
    return PlateMap(wells={}, columns=columns, source=f"column rule {text!r}")


def read_platemap(path: Path) -> PlateMap:
    """Read a plate map: well and genotype, and where known plate, treatment, label.

    Without a label column, wells without treatment or with `vehicle` are labelled by
    their genotype, and treated wells have no label.

    Raises:
        DataError: The file can't be read, or a well is malformed or stands twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as a plate map ({error})") from error
    names = set(reader.fieldnames or ())
    if "well" not in names or not names & {"genotype", "label", "treatment"}:
        msg = (
            f"{path} has columns {', '.join(sorted(names))}; expected well and genotype"
        )
        raise DataError(msg)
    wells: dict[tuple[str, str], Content] = {}
    for line, row in enumerate(rows, start=2):
        values = {key: (row.get(key) or "").strip() for key in _KNOWN}
        try:
            well = parse_well(values["well"])
        except DataError as error:
            raise DataError(f"{path} line {line}: {error}") from error
        key = (values["plate"], well.name)
        if key in wells:
            raise DataError(f"{path} line {line}: well {well.name} stands twice")
        wells[key] = _content(values, has_label="label" in names)
    if not wells:
        raise DataError(f"{path} names no well; add at least one row")
    return PlateMap(wells=wells, columns={}, source=str(path))


def _content(values: Mapping[str, str], *, has_label: bool) -> Content:
    control = values["treatment"] in ("", VEHICLE)
    own = values["genotype"] if control else ""
    return Content(
        genotype=values["genotype"],
        treatment=values["treatment"],
        label=values["label"] if has_label else own,
    )


def _columns(text: str, rule: str) -> list[int]:
    found = _COLUMNS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= MAX_COLUMN:
        msg = f"column rule {rule!r}: {text!r} is no column or range such as 1-2"
        raise SettingsError(msg)
    return list(range(first, last + 1))
