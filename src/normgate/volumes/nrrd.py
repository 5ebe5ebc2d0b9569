"""Reading NRRD, as 3D Slicer and pyradiomics write it, with every bit kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nrrd
import numpy as np

from normgate.errors import DataError
from normgate.volumes.volume import (
    AS_IT_IS,
    Rescale,
    Volume,
    check_size,
    corrupt,
    oriented,
    scaled,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".nrrd", ".nhdr")
KIND = "NRRD"
# What turns a space into right, anterior, superior.
_SPACES: dict[str, tuple[int, int, int]] = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}


def read_nrrd(path: Path, declared: Rescale | None = None) -> Volume:
    """Read an NRRD file.

    Args:
        path: The file.
        declared: A slope and intercept to apply; NRRD itself has none.

    Raises:
        CorruptImage: The file is missing, cut short or not NRRD.
        DataError: It is no single volume of real numbers with a place in the patient.
    """
    try:
        header = nrrd.read_header(str(path))
        check_size(tuple(int(n) for n in header["sizes"]), path)
        stored, header = nrrd.read(str(path))
    except DataError:
        raise
    except FileNotFoundError as error:
        raise corrupt(path, KIND, "the file is missing") from error
    except Exception as error:
        raise corrupt(path, KIND, error) from error
    array_zyx, affine, notes = oriented(stored, _affine(header, path), path)
    return Volume(
        array_zyx=scaled(array_zyx, AS_IT_IS, declared, path),
        affine=affine,
        path=str(path),
        notes=notes,
    )


def _affine(header: dict[str, Any], path: Path) -> NDArray[np.float64]:
    """The affine to right, anterior, superior in mm."""
    space = str(header.get("space", "")).lower()
    directions = np.asarray(header.get("space directions", ()), dtype=np.float64)
    origin = np.asarray(header.get("space origin", (0, 0, 0)), dtype=np.float64)
    units = {str(unit) for unit in header.get("space units", ())} - {"mm"}
    known = directions.shape == (3, 3) and origin.shape == (3,) and not units
    if space not in _SPACES or not known:
        raise DataError(
            f"{path} has space {space or 'none'!r}, directions of shape "
            f"{directions.shape} and units {sorted(units) or 'mm'}; expected a space "
            "such as left-posterior-superior, three directions and mm"
        )
    affine = np.eye(4)
    affine[:3, :3] = directions.T
    affine[:3, 3] = origin
    signs = np.array([*_SPACES[space], 1], dtype=np.float64)
    return signs[:, None] * affine
