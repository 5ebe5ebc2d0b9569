"""The demonstration cases: head phantoms as real NIfTI files, and their case CSV.

One patient a case. Files are whole when they have their name, so a broken-off demo goes
on where it was. What the heads are is `phantom`'s; its faults can be asked for, and the
masks of brain and bone can be left out, to be derived.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pandas as pd

from normgate.contract.files import write_atomic
from normgate.errors import DataError, SettingsError
from normgate.volumes.cases import write_case_csv
from normgate.volumes.phantom import PhantomSettings, phantom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.volumes.phantom import Phantom

CSV_NAME = "cases.csv"
SETTINGS_NAME = "demo.json"
MOST_CASES = 100_000
_FORMAT = 1
# From (x, y, z) of a phantom, whose z goes from head to foot, to patient space.
_TOWARDS = np.array([-1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How much to simulate, and with which faults."""

    seed: int = 0
    """Every head follows from it."""
    cases: int = 120
    """Heads, one patient each."""
    shape_zyx: tuple[int, int, int] = (1, 32, 32)
    """Voxels of each volume; rows and columns cover 224 mm."""
    slice_mm: float = 5.0
    """Distance of slices."""
    masks: bool = True
    """Whether brain and bone are written; else they are to be derived."""
    ct_scale_bug: bool = False
    """As in `PhantomSettings`: the CT went through 8 bits and is not in HU."""
    headrest: bool = False
    """The CT shows a headrest."""
    skullstrip_zero_fill: bool = False
    """All but the brain was set to 0 HU."""
    misregister_mm: float = 0.0
    """How far the CT lies beside the MRI."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        if not 1 <= self.cases <= MOST_CASES:
            raise SettingsError(
                f"cases is {self.cases}, expected a number 1 to {MOST_CASES}"
            )
        _ = self.phantoms

    @property
    def phantoms(self) -> PhantomSettings:
        """What the heads have in common."""
        names = {field.name for field in fields(PhantomSettings)}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return PhantomSettings(
            **{name: value for name, value in values.items() if name in names}
        )


def write_demo(
    folder: Path,
    settings: DemoSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the demonstration cases, or find that they are there already.

    Args:
        folder: Where `cases.csv` and a folder for each case go; made if missing.
        settings: How much to simulate; None takes the demo that is there, or the
            usual one.
        progress: Told of the cases written and of their total.

    Returns:
        The path of the case CSV, which is written last.

    Raises:
        DataError: The folder holds something else.
    """
    settings = settings or _settings_of(folder) or DemoSettings()
    stamp = json.dumps({"format": _FORMAT, **asdict(settings)}, indent=1).encode()
    if _present(folder, stamp):
        return folder / CSV_NAME
    write_atomic(folder / SETTINGS_NAME, stamp)
    rows = []
    for case in range(settings.cases):
        rows.append(_write_case(folder, case, settings))
        if progress is not None:
            progress(case + 1, settings.cases)
    write_case_csv(pd.DataFrame(rows), folder / CSV_NAME)
    return folder / CSV_NAME


def _write_case(folder: Path, case: int, settings: DemoSettings) -> dict[str, Any]:
    """Write what is missing of one case, and give its row of the table."""
    name = f"case-{case + 1:04d}"
    kinds = ["mri", "ct", "lesion"] + ["brain", "bone"] * settings.masks
    paths = {kind: f"{name}/{kind}.nii.gz" for kind in kinds}
    if not all((folder / path).is_file() for path in paths.values()):
        head = phantom(case, settings.phantoms)
        for kind, path in paths.items():
            write_atomic(folder / path, _nifti(_stored(head, kind), head))
    row = {
        "patient": f"patient-{case + 1:04d}",
        "case": name,
        "split_group": f"patient-{case + 1:04d}",
    }
    columns = ("mri", "ct", "brain", "bone", "lesion")
    return row | {kind: paths.get(kind, "") for kind in columns}


def _stored(head: Phantom, kind: str) -> NDArray[Any]:
    """A volume of a phantom in the type that its file has."""
    array_zyx: NDArray[Any] = getattr(head, f"{kind}_zyx")
    return array_zyx.astype(np.int16 if kind in ("mri", "ct") else np.uint8)


def _nifti(array_zyx: NDArray[Any], head: Phantom) -> bytes:
    """A packed NIfTI-1 file, its middle at the scanner's centre."""
    spacing = np.array(head.spacing_mm[::-1])
    affine = np.diag([*(_TOWARDS * spacing), 1.0])
    affine[:3, 3] = -_TOWARDS * spacing * (np.array(array_zyx.shape[::-1]) - 1) / 2
    image = nibabel.Nifti1Image(array_zyx.T, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def _settings_of(folder: Path) -> DemoSettings | None:
    """The settings of the demo in a folder; None where there is none."""
    try:
        values = json.loads((folder / SETTINGS_NAME).read_bytes())
        del values["format"]
        return DemoSettings(**{**values, "shape_zyx": tuple(values["shape_zyx"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _present(folder: Path, stamp: bytes) -> bool:
    """Whether this very demo is complete here; anything foreign is refused."""
    settings, table = folder / SETTINGS_NAME, folder / CSV_NAME
    if not settings.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(
                f"{folder} is not empty and holds no demo; name an empty folder"
            )
        return False
    if settings.read_bytes() != stamp:
        raise DataError(f"{folder} holds a demo of other settings; name another folder")
    return table.is_file()
