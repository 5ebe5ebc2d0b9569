"""Where an image's values stand: a file, or a part of one.

`slide.mcd#acquisition=2` is an acquisition of a .mcd file by its number,
`stack.h5#dataset=roi/7` an array of an HDF5 file or of a zarr folder by its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from normgate.errors import DataError

Format = Literal["mcd", "txt", "tiff", "hdf5", "zarr"]
SUFFIXES: dict[str, Format] = {
    ".mcd": "mcd",
    ".txt": "txt",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".zarr": "zarr",
}
PARTS: dict[str, str] = {"mcd": "acquisition", "hdf5": "dataset", "zarr": "dataset"}
"""What a part of a file is called, for formats that have parts."""
_PART = re.compile(r"(?P<file>[^#]*)#(?P<kind>[a-z]+)=(?P<part>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file, and the part of it that is meant."""

    path: Path
    format: Format
    part: str = ""
    """Empty where the file has but one."""

    def __str__(self) -> str:
        part = f"#{PARTS[self.format]}={self.part}" if self.part else ""
        return f"{self.path}{part}"


def place_of(name: str, folder: Path = Path()) -> Place:
    """The place that a table's name stands for.

    Args:
        name: The name, relative to the folder.
        folder: The table's folder.

    Raises:
        DataError: The name is of a kind that is not read.
    """
    found = _PART.fullmatch(name)
    file = found["file"] if found else name
    form = SUFFIXES.get(Path(file).suffix.lower())
    if form is None:
        raise DataError(
            f"image {name!r} is none of {', '.join(SUFFIXES)}; export it as one of them"
        )
    if found and PARTS.get(form) != found["kind"]:
        expected = PARTS.get(form)
        advice = f"#{expected}=<name>" if expected else "the file alone"
        raise DataError(f"image {name!r} names a {found['kind']}; expected {advice}")
    return Place(path=folder / file, format=form, part=found["part"] if found else "")
