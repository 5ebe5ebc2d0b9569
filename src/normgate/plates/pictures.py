"""A picture found on disk: which plate, well, site, timepoint and marker it shows.

Every layout (named pattern, instrument export) ends in pictures; `index` makes the
plate table of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from normgate.plates.wells import Well

MASK = "@mask"
"""Stands for the marker of a picture that says where the cells are."""
_TIFF = (".tif", ".tiff")
_NAME = re.compile(r"[^A-Za-z0-9_.\-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One plane of one marker."""

    plate: str
    well: Well
    site: str
    timepoint_ms: int
    marker: str
    path: Path
    """A file, or `file.tif#page=N`."""

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Plate, well, site and timepoint."""
        return self.plate, self.well.name, self.site, self.timepoint_ms


def marker_name(text: str) -> str:
    """A marker's name as channels may bear it: `Texas Red` is `Texas_Red`.

    Raises:
        DataError: Nothing is left of the name.
    """
    name = _NAME.sub("_", text).strip("_.-")
    if not name:
        raise DataError(f"{text!r} gives no marker name; use letters and digits")
    return name


def tiff_files(folder: Path) -> list[Path]:
    """All TIFF files below a folder, sorted by path; hidden ones and thumbs left out.

    Raises:
        DataError: There is no folder, or no TIFF in it; packed ones are pointed out.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the one that holds the images")
    files = sorted(path for path in folder.rglob("*") if _counts(path, folder))
    found = [path for path in files if path.suffix.lower() in _TIFF]
    if found:
        return found
    packed = [path for path in files if path.name.lower().endswith((".tif.gz",))]
    if packed:
        msg = f"{folder} holds packed images such as {packed[0].name}; unpack them "
        raise DataError(msg + "first (gunzip), then index again")
    kinds = ", ".join(sorted({path.suffix for path in files})) or "nothing"
    raise DataError(
        f"{folder} holds no TIFF (found {kinds}); export raw counts as TIFF"
    )


def default_plate(folder: Path) -> str:
    """A plate's name from its folder; a folder called `images` takes its parent's."""
    resolved = folder.resolve()
    plain = resolved.name.lower() in ("images", "image", "tiff", "tif")
    return marker_name(resolved.parent.name if plain else resolved.name)


def refuse_doubles(pictures: Iterable[Picture]) -> None:
    """Refuse two pictures of one place and marker, naming both files.

    Raises:
        DataError: A well, site, timepoint and marker stands twice.
    """
    seen: dict[tuple[object, ...], Picture] = {}
    for picture in pictures:
        first = seen.setdefault((*picture.place, picture.marker), picture)
        if first is not picture:
            plate, well, site, time = picture.place
            msg = (
                f"plate {plate} well {well} site {site} at {time} ms has two pictures "
                f"of {picture.marker}: {first.path} and {picture.path}; keep one"
            )
            raise DataError(msg)


def _counts(path: Path, folder: Path) -> bool:
    inner = path.relative_to(folder).parts
    hidden = any(part.startswith(".") for part in inner)
    return path.is_file() and not hidden and "_thumb" not in path.name.lower()
