"""From a folder of images to a complete plate table, with what is odd about them.

A layout finds pictures; here they are checked (no doubles, every channel of every site,
one type a marker, readable files) and become rows. What can't be a table is refused;
what a person should know is a finding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from normgate.errors import SettingsError
from normgate.plates import demo
from normgate.plates.checks import check_files, completeness, inspected
from normgate.plates.layouts import Layout, find_layout, find_pictures
from normgate.plates.pictures import MASK, Picture, refuse_doubles
from normgate.plates.platemap import EMPTY, PlateMap, parse_column_rule, read_platemap
from normgate.plates.schema import (
    PATH_PREFIX,
    markers,
    read_plate_csv,
    write_plate_csv,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normgate.plates.inspection import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What to index, and how."""

    images: Path
    """The folder of images."""
    out: Path
    """The plate CSV to write."""
    layout: Layout = "auto"
    """Which convention the images follow."""
    pattern: str = ""
    """For `pattern`: a regular expression with named groups."""
    masks: str = ""
    """For `pattern`: the same for files that say where the cells are; for `ome-zarr`:
    the label image that does."""
    platemap: Path | None = None
    """A CSV of wells and what they hold."""
    column_rule: str = ""
    """What columns hold, such as `1-2=WT,3-4=APP`."""
    plate: str = ""
    """The plate's name where files and folders tell none."""
    z: str = ""
    """For instruments and OME-Zarr: one Z step, or (ImageXpress) `projection`."""
    timepoints_ms: tuple[int, ...] = ()
    """For instruments and OME-Zarr: milliseconds of the timepoints; empty takes what
    the data say of them."""
    channels: tuple[str, ...] = ()
    """For OME-Zarr images that name no channels: their names, in order."""

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.layout not in get_args(Layout):
            msg = f"layout is {self.layout!r}; expected {', '.join(get_args(Layout))}"
            raise SettingsError(msg)
        if self.layout == "pattern" and not self.pattern:
            raise SettingsError("layout 'pattern' needs a pattern with named groups")
        if self.pattern and self.layout not in ("auto", "pattern"):
            raise SettingsError(
                f"layout {self.layout!r} takes no pattern; leave it out"
            )
        if self.platemap is not None and self.column_rule:
            raise SettingsError("give a plate map or a column rule, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What came of indexing."""

    frame: pd.DataFrame
    layout: str
    findings: tuple[Finding, ...]

    @property
    def figures(self) -> dict[str, float]:
        """Rows, plates, wells, and findings."""
        wells = self.frame[["plate", "well"]].drop_duplicates()
        return {
            "rows": float(len(self.frame)),
            "plates": float(wells["plate"].nunique()),
            "wells": float(len(wells)),
            "findings": float(len(self.findings)),
        }

    @property
    def note(self) -> str:
        """What a reader should know, in Markdown."""
        wells = self.frame[["plate", "well"]].drop_duplicates()
        head = (
            f"**{len(self.frame)} rows of {len(wells)} wells on "
            f"{wells['plate'].nunique()} plate(s)**, layout {self.layout}, markers "
            f"{', '.join(markers(self.frame))}"
        )
        return "\n".join([head, "", *(f"- {f.sentence}" for f in self.findings)])


def index(
    settings: IndexSettings, progress: Callable[[int, int], None] | None = None
) -> Indexed:
    """Index a folder of images and write its plate CSV.

    Args:
        settings: What to index, and how.
        progress: Told of the files checked and of their total.

    Returns:
        The table, and what a person should know of it.

    Raises:
        DataError: Something is missing, doubled, unreadable or mixed; it is named.
        SettingsError: Settings don't fit the images.
    """
    layout = find_layout(settings)
    if layout == "demo":
        frame = read_plate_csv(demo.write_demo(settings.images, progress=progress))
        _write_moved(frame, settings)
        return Indexed(frame=frame, layout=layout, findings=())
    content = _platemap(settings)
    pictures, findings = find_pictures(layout, settings)
    if settings.plate and len({p.plate for p in pictures}) > 1:
        raise SettingsError("plate is given, but the images are of several plates")
    refuse_doubles(pictures)
    findings += completeness(pictures)
    check_files(pictures, progress)
    findings += inspected(pictures)
    frame = _frame(pictures, content, settings)
    write_plate_csv(frame, settings.out)
    return Indexed(frame=frame, layout=layout, findings=tuple(findings))


def _platemap(settings: IndexSettings) -> PlateMap:
    if settings.platemap is not None:
        return read_platemap(settings.platemap)
    return parse_column_rule(settings.column_rule) if settings.column_rule else EMPTY


def _frame(
    pictures: Sequence[Picture], content: PlateMap, settings: IndexSettings
) -> pd.DataFrame:
    """One row a plate, well, site and timepoint, in plate order."""
    rows: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    names = sorted({p.marker for p in pictures} - {MASK})
    folder = settings.out.resolve().parent
    for picture in sorted(pictures, key=_order):
        row = rows.setdefault(picture.place, _row(picture, content))
        path = Path(os.path.relpath(picture.path.resolve(), folder)).as_posix()
        name = "mask_path" if picture.marker == MASK else PATH_PREFIX + picture.marker
        row[name] = path
    columns = list(_row(pictures[0], EMPTY)) + [PATH_PREFIX + m for m in names]
    if any(p.marker == MASK for p in pictures):
        columns.append("mask_path")
    return pd.DataFrame(list(rows.values()), columns=columns)


def _order(picture: Picture) -> tuple[Any, ...]:
    site = picture.site
    number = (0, int(site), "") if site.isdigit() else (1, 0, site)
    return picture.plate, picture.well, number, picture.timepoint_ms


def _row(picture: Picture, content: PlateMap) -> dict[str, Any]:
    holds = content.content(picture.plate, picture.well)
    return {
        "plate": picture.plate,
        "well": picture.well.name,
        "row": picture.well.row,
        "column": picture.well.column,
        "site": picture.site,
        "timepoint_ms": picture.timepoint_ms,
        "genotype": holds.genotype,
        "treatment": holds.treatment,
        "label": holds.label,
        "split_group": f"{picture.plate}:{picture.well.name}",
    }


def _write_moved(frame: pd.DataFrame, settings: IndexSettings) -> None:
    """Write the demo's table where it was asked for, with paths from there."""
    own, out = settings.images / demo.CSV_NAME, settings.out
    if own.resolve() == out.resolve():
        return
    moved = frame.copy()
    for name in frame.columns:
        if str(name).startswith(PATH_PREFIX):
            moved[name] = [
                Path(
                    os.path.relpath(own.resolve().parent / p, out.resolve().parent)
                ).as_posix()
                for p in frame[name]
            ]
    write_plate_csv(moved, out)
