"""Sites: the rows of a plate table that are one place at all its timepoints.

A site knows its files by marker and timepoint, so that a spec's channels are bound to
them by name and never by position. No pixel is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from normgate.errors import DataError, SettingsError
from normgate.plates.schema import PATH_PREFIX, markers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from normgate.contract import Spec

CELLS = "@cells"
"""Stands in a key for the file that says where the cells are; no marker is named so."""
CELL_COLUMNS = ("centers_path", "mask_path")
_SHARED = ("row", "column", "genotype", "treatment", "label", "split_group")


class PlaneKey(NamedTuple):
    """One picture of a site."""

    marker: str
    timepoint_ms: int

    def __str__(self) -> str:
        return f"{self.marker}:{self.timepoint_ms}ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site of a well, with the files of all its timepoints."""

    plate: str
    well: str
    row: int
    column: int
    site: str
    genotype: str
    treatment: str
    label: str
    """Empty where the site has none."""
    split_group: str
    planes: Mapping[PlaneKey, Path]
    """Files by marker and timepoint; cells' files under the marker `CELLS`."""

    @property
    def name(self) -> str:
        """What to call the site in a message."""
        return f"plate {self.plate} well {self.well} site {self.site}"


def sites(frame: pd.DataFrame, csv_path: Path) -> list[Site]:
    """Join the timepoints of each plate, well and site.

    Args:
        frame: A checked plate table.
        csv_path: Its file; paths in the table are relative to its folder.

    Returns:
        The sites, in the order in which the table first names them.

    Raises:
        DataError: Timepoints of one site disagree on genotype, label or split group.
    """
    names = markers(frame)
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        groups.setdefault((row["plate"], row["well"], row["site"]), []).append(
            {str(key): value for key, value in row.items()}
        )
    return [_site(rows, names, csv_path.parent) for rows in groups.values()]


def bind(spec: Spec, timepoint_ms: int | None) -> tuple[PlaneKey, ...]:
    """The picture that each channel of a spec reads, in the spec's order.

    Args:
        spec: Channels named `MARKER` or `MARKER:10000ms`.
        timepoint_ms: The timepoint of the channels whose names tell none.

    Raises:
        SettingsError: A timepoint is needed and not given, or given for nothing.
    """
    open_names = [c.name for c in spec.channels if c.timepoint_ms is None]
    if timepoint_ms is None and open_names:
        msg = f"channel {open_names[0]} names no timepoint; say which one, such as 0"
        raise SettingsError(msg)
    if timepoint_ms is not None and not open_names:
        msg = f"timepoint {timepoint_ms} ms given, but every channel names its own; "
        raise SettingsError(msg + "leave it out")
    keys = tuple(
        PlaneKey(c.marker, _time(c.timepoint_ms, timepoint_ms)) for c in spec.channels
    )
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        msg = f"two channels of the spec read one picture, {twice[0]}; keep one of them"
        raise SettingsError(msg)
    return keys


def _time(own: int | None, given: int | None) -> int:
    time = own if own is not None else given
    if time is None:
        raise SettingsError("a channel without a timepoint; say which one, such as 0")
    return time


def _site(rows: list[dict[str, Any]], names: tuple[str, ...], folder: Path) -> Site:
    first = rows[0]
    for row in rows[1:]:
        for column in _SHARED:
            if row[column] != first[column]:
                msg = (
                    f"plate {row['plate']} well {row['well']} site {row['site']} has "
                    f"{column} {first[column]!r} at {first['timepoint_ms']} ms and "
                    f"{row[column]!r} at {row['timepoint_ms']} ms; a site has one"
                )
                raise DataError(msg)
    planes = {
        PlaneKey(marker, row["timepoint_ms"]): folder / row[PATH_PREFIX + marker]
        for row in rows
        for marker in names
    }
    for row in rows:
        for column in CELL_COLUMNS:
            if column in row:
                key = PlaneKey(CELLS, row["timepoint_ms"])
                planes.setdefault(key, folder / row[column])
    return Site(
        plate=first["plate"],
        well=first["well"],
        site=first["site"],
        planes=planes,
        **{column: first[column] for column in _SHARED},
    )
