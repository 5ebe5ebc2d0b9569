"""The acquisition table: one row for each acquisition, as a CSV.

Columns: slide, patient, acquisition, split_group (all rows of a slide or of a patient
share one, for neither is split between training and test), image (`a.txt`, `a.tiff`,
`a.mcd#acquisition=2`, `a.h5#dataset=x` or `a.zarr#dataset=x`), panel (a CSV of metals
and targets; empty where the image names its channels itself), mask (a label image of
cells, or empty) and label (empty where there is none). Optional: pixel_um, the side of
a pixel in micrometres, and scale, by which values are multiplied to give counts again.
Paths are relative to the CSV's own folder.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pandera.pandas import Check, Column, DataFrameSchema

from normgate import tables
from normgate.acquisitions.place import Place, place_of
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

KIND = "acquisition"
SCALES = ("pixel_um", "scale")
_FILLED = Check.str_length(min_value=1, error="must not be empty")

SCHEMA = DataFrameSchema(
    {
        "slide": Column(str, _FILLED),
        "patient": Column(str, _FILLED),
        "acquisition": Column(str, _FILLED),
        "split_group": Column(str, _FILLED),
        "image": Column(str, _FILLED),
        "panel": Column(str),
        "mask": Column(str),
        "label": Column(str),
        "pixel_um": Column(str, required=False),
        "scale": Column(str, required=False),
    },
    strict=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One acquisition, by its files."""

    slide: str
    patient: str
    acquisition: str
    split_group: str
    image: Place
    panel: Path | None
    """None where the image's own names are enough."""
    mask: Path | None = None
    """A label image of cells."""
    label: str = ""
    pixel_um: float | None = None
    """Side of a pixel; None where it is unknown."""
    scale: float | None = None
    """By which the file's values are multiplied to give counts."""

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return f"acquisition {self.acquisition}"

    def input_digest(self) -> str:
        """SHA-256 over every file's bytes and the declared scales, in hex.

        Raises:
            CorruptImage: A file is missing or the disk fails.
        """
        text = f"{self.image.part} {self.scale} {self.pixel_um}\n"
        digest = hashlib.sha256(text.encode())
        for path in (self.image.path, self.panel, self.mask):
            for file in _files(path):
                try:
                    own = _file_digest(file)
                except OSError as error:
                    msg = f"{file} can't be read ({error.strerror}); restore the file"
                    raise CorruptImage(msg) from error
                digest.update(f"{own}\n".encode())
        return digest.hexdigest()


def read_acquisition_csv(path: Path) -> pd.DataFrame:
    """Read and check an acquisition table.

    Args:
        path: The CSV.

    Returns:
        The table in the file's order; every column is text, never missing.

    Raises:
        DataError: The file, a column, or a row's value is not what the table needs.
    """
    remedy = "name a table with a row for each acquisition"
    return check(tables.read_text(path, KIND, remedy), path)


def write_acquisition_csv(frame: pd.DataFrame, path: Path) -> None:
    """Check an acquisition table and write it whole or not at all.

    Raises:
        DataError: A column or value is not what the table needs.
    """
    tables.write_text(check(frame, path), path)


def is_acquisition_csv(path: Path) -> bool:
    """Whether a file's first line names what only acquisition tables have."""
    try:
        with path.open(encoding="utf-8") as file:
            columns = file.readline().strip().split(",")
    except (OSError, UnicodeDecodeError):
        return False
    return {"slide", "acquisition", "image"} <= {name.strip('"') for name in columns}


def check(frame: pd.DataFrame, path: Path | str = "the table") -> pd.DataFrame:
    """Check columns and values, that acquisitions are distinct, slides whole.

    Args:
        frame: The table.
        path: What to call it in a refusal.

    Returns:
        The table itself.

    Raises:
        DataError: The first thing that is wrong, with its row and the way to mend it.
    """
    tables.validate(frame, SCHEMA, path, KIND, "an acquisition table needs it")
    if frame.empty:
        raise DataError(f"{path} has no rows; give it a row for each acquisition")
    twice = frame[frame["acquisition"].duplicated()]
    if len(twice):
        raise DataError(
            f"{path}: acquisition {twice['acquisition'].iloc[0]} stands twice; keep "
            "one row for it"
        )
    for kind in ("patient", "slide"):
        _check_whole(frame, kind, path)
    for line, row in enumerate(frame.to_dict("records"), start=2):
        for column in SCALES:
            _scale(row, column, f"{path} line {line}")
    return frame


def acquisitions(frame: pd.DataFrame, csv_path: Path) -> tuple[Acquisition, ...]:
    """The acquisitions of a checked table, in its order.

    Args:
        frame: A checked acquisition table.
        csv_path: Its file; paths in the table are relative to its folder.

    Raises:
        DataError: An image's name is of a kind that is not read.
    """
    folder = csv_path.parent
    return tuple(
        Acquisition(
            slide=row["slide"],
            patient=row["patient"],
            acquisition=row["acquisition"],
            split_group=row["split_group"],
            image=place_of(row["image"], folder),
            panel=_path(folder, row["panel"]),
            mask=_path(folder, row["mask"]),
            label=row["label"],
            pixel_um=_scale(row, "pixel_um", f"{csv_path} line {line}"),
            scale=_scale(row, "scale", f"{csv_path} line {line}"),
        )
        for line, row in enumerate(frame.to_dict("records"), start=2)
    )


def _check_whole(frame: pd.DataFrame, kind: str, path: Path | str) -> None:
    groups = frame.groupby(kind, sort=False)["split_group"].unique()
    for name, found in groups.items():
        if len(found) > 1:
            raise DataError(
                f"{path}: {kind} {name} is in split groups {found[0]} and {found[1]}; "
                f"give all rows of a {kind} one split_group, or training and test "
                f"share a {kind}"
            )


def _files(path: Path | None) -> Iterator[Path]:
    """The files of a path; those of a zarr folder in a fixed order."""
    if path is not None and path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
    elif path is not None:
        yield path


def _file_digest(file: Path) -> str:
    """SHA-256 of a file, hashed anew only where its size or time of change differs.

    All acquisitions of a slide may share one file.

    Raises:
        OSError: It is missing or the disk fails.
    """
    status = file.stat()
    return _hashed(file, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=4096)
def _hashed(file: Path, size: int, changed_ns: int, inode: int) -> str:
    """SHA-256 of a file; the other parameters tell one state of it from another."""
    del size, changed_ns, inode
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _path(folder: Path, name: str) -> Path | None:
    return folder / name if name else None


def _scale(row: dict[Any, Any], column: str, place: str) -> float | None:
    """A number above 0, or None where the row has none."""
    text = str(row.get(column, ""))
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise DataError(
            f"{place}: {column} is {text!r}, expected a number above 0, or nothing"
        )
    return number
