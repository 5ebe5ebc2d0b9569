"""Quarantine: images that can't be used, each with its sentence, beside the rows.

`quarantine.csv` is rewritten whole before the shard it tells of is written, so the
two agree after any kill. A record keeps the file's state; when a later run finds the
file in another state (mended, or there at last), its shard is done again.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from normgate.contract.files import write_atomic
from normgate.errors import DataError
from normgate.plates.read import plane_state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "quarantine.csv"
SEPARATOR = "; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One image, or one site, that gave no rows for some models."""

    shard: int
    """Index of the shard whose rows lack it."""
    plate: str
    well: str
    site: str
    marker: str
    """Empty where the site as a whole is at fault."""
    timepoint_ms: str
    path: str
    """The image, such as `stack.tif#page=2`; empty where no one is at fault."""
    models: str
    """Names of the models that lack it, separated by `; `."""
    state: str
    """Size and time of change of the file, or `missing`."""
    reason: str
    """The sentence."""


_FIELDS = tuple(field.name for field in fields(Quarantined))


def write_quarantine(out: Path, records: Iterable[Quarantined]) -> None:
    """Write all records, by shard, whole or not at all."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(record) for record in sorted(records, key=_shard))
    write_atomic(out / NAME, text.getvalue().encode())


def read_quarantine(out: Path) -> list[Quarantined]:
    """Read the records of an earlier run; none where there is no file.

    Raises:
        DataError: If the file is not one that a deployment wrote.
    """
    path = out / NAME
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_record(row) for row in csv.DictReader(file, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as reason:
        raise DataError(
            f"{path}: not a quarantine table ({reason}); give another out folder"
        ) from reason


def failed_sites(records: Iterable[Quarantined]) -> dict[str, int]:
    """Count, by model, the sites that gave it no rows."""
    lacking = {
        (name, record.plate, record.well, record.site)
        for record in records
        for name in record.models.split(SEPARATOR)
    }
    return dict(sorted(Counter(name for name, *_ in lacking).items()))


def is_current(record: Quarantined) -> bool:
    """Whether the file is still as it was when it was quarantined."""
    return not record.path or plane_state(record.path) == record.state


def _shard(record: Quarantined) -> int:
    return record.shard


def _record(row: dict[str, str]) -> Quarantined:
    text = {name: row[name] for name in _FIELDS if name != "shard"}
    return Quarantined(shard=int(row["shard"]), **text)
