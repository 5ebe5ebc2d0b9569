"""The case table: one row for each pair of MRI and CT, as a CSV.

Columns: patient, case, split_group (all rows of a patient share one, for it is never
split between training and test), mri and ct (a NIfTI or NRRD file, a DICOM file, or the
folder of a DICOM series), and brain, bone and lesion: a mask's file, or empty. An empty
brain or bone is derived (`masks`), an empty lesion is unknown; a file of zeros says
that there is none. Optional ct_slope and ct_intercept make HU of a CT that is not:
`HU = value * ct_slope + ct_intercept`. Paths are relative to the CSV's own folder.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pandera.pandas import Check, Column, DataFrameSchema

from normgate import tables
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

MASKS = ("brain", "bone", "lesion")
RESCALE = ("ct_slope", "ct_intercept")
_FILLED = Check.str_length(min_value=1, error="must not be empty")

SCHEMA = DataFrameSchema(
    {
        "patient": Column(str, _FILLED),
        "case": Column(str, _FILLED),
        "split_group": Column(str, _FILLED),
        "mri": Column(str, _FILLED),
        "ct": Column(str, _FILLED),
        "brain": Column(str),
        "bone": Column(str),
        "lesion": Column(str),
        "ct_slope": Column(str, required=False),
        "ct_intercept": Column(str, required=False),
    },
    strict=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One pair of MRI and CT, by its files."""

    patient: str
    case: str
    split_group: str
    mri: Path
    ct: Path
    brain: Path | None
    """None where the mask is to be derived; so is bone."""
    bone: Path | None
    lesion: Path | None
    """None where nothing is known of a lesion."""
    ct_rescale: tuple[float, float] | None = None
    """Slope and intercept that make HU of the CT's numbers."""

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return f"case {self.case}"

    @property
    def files(self) -> dict[str, Path]:
        """What there is of mri, ct, brain, bone and lesion; a DICOM series' folder."""
        found = {name: getattr(self, name) for name in ("mri", "ct", *MASKS)}
        return {name: path for name, path in found.items() if path is not None}

    def input_digest(self) -> str:
        """SHA-256 over every file's bytes and the declared rescale, in hex.

        Raises:
            CorruptImage: A file is missing or the disk fails.
        """
        digest = hashlib.sha256(f"{self.ct_rescale}\n".encode())
        for name, path in self.files.items():
            inside = sorted(path.iterdir()) if path.is_dir() else [path]
            for file in inside:
                try:
                    own = hashlib.sha256(file.read_bytes()).hexdigest()
                except OSError as error:
                    msg = f"{file} can't be read ({error.strerror}); restore the file"
                    raise CorruptImage(msg) from error
                digest.update(f"{name} {own}\n".encode())
        return digest.hexdigest()


def read_case_csv(path: Path) -> pd.DataFrame:
    """Read and check a case table.

    Args:
        path: The CSV.

    Returns:
        The table in the file's order; every column is text, never missing.

    Raises:
        DataError: The file, a column, or a row's value is not what the table needs.
    """
    remedy = "name a table with a row for each pair of MRI and CT"
    return check(tables.read_text(path, "case", remedy), path)


def write_case_csv(frame: pd.DataFrame, path: Path) -> None:
    """Check a case table and write it whole or not at all.

    Raises:
        DataError: A column or value is not what the table needs.
    """
    tables.write_text(check(frame, path), path)


def check(frame: pd.DataFrame, path: Path | str = "the case table") -> pd.DataFrame:
    """Check a table's columns and values, that cases are distinct, patients whole.

    Args:
        frame: The table.
        path: What to call it in a refusal.

    Returns:
        The table itself.

    Raises:
        DataError: The first thing that is wrong, with its row and the way to mend it.
    """
    tables.validate(frame, SCHEMA, path, "case", "a case table needs it")
    if frame.empty:
        raise DataError(f"{path} has no rows; give it a row for each case")
    twice = frame[frame["case"].duplicated()]
    if len(twice):
        raise DataError(
            f"{path}: case {twice['case'].iloc[0]} stands twice; keep one row for it"
        )
    groups = frame.groupby("patient", sort=False)["split_group"].unique()
    for patient, found in groups.items():
        if len(found) > 1:
            raise DataError(
                f"{path}: patient {patient} is in split groups {found[0]} and "
                f"{found[1]}; give all rows of a patient one split_group, or training "
                "and test share a patient"
            )
    for line, row in enumerate(frame.to_dict("records"), start=2):
        _rescale(row, f"{path} line {line}")
    return frame


def cases(frame: pd.DataFrame, csv_path: Path) -> tuple[Case, ...]:
    """The cases of a checked table, in its order.

    Args:
        frame: A checked case table.
        csv_path: Its file; paths in the table are relative to its folder.
    """
    folder = csv_path.parent
    return tuple(
        Case(
            patient=row["patient"],
            case=row["case"],
            split_group=row["split_group"],
            mri=folder / row["mri"],
            ct=folder / row["ct"],
            brain=_path(folder, row["brain"]),
            bone=_path(folder, row["bone"]),
            lesion=_path(folder, row["lesion"]),
            ct_rescale=_rescale(row, f"{csv_path} line {line}"),
        )
        for line, row in enumerate(frame.to_dict("records"), start=2)
    )


def _path(folder: Path, name: str) -> Path | None:
    return folder / name if name else None


def _rescale(row: dict[Any, Any], place: str) -> tuple[float, float] | None:
    """The declared rescale of a row: both numbers, or none."""
    slope, intercept = (str(row.get(name, "")) for name in RESCALE)
    if not slope and not intercept:
        return None
    try:
        pair = float(slope), float(intercept)
    except ValueError:
        pair = math.nan, math.nan
    if not (all(map(math.isfinite, pair)) and pair[0] > 0):
        raise DataError(
            f"{place}: ct_slope is {slope!r} and ct_intercept {intercept!r}, expected "
            "two numbers, the slope above 0, or both empty"
        )
    return pair
