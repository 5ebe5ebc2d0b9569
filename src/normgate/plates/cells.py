"""Where the cells of a site are: from a mask, a label image, or a table of centers.

A mask of one value is split into its connected parts (8 neighbours; cells that touch
are one); in a label image each value is a cell. Centers are mean positions rounded to
pixels by integer arithmetic, so that they are the same on every machine.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import label

from normgate.errors import CorruptImage, DataError
from normgate.plates.read import file_digest, read_plane

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Center = tuple[int, int, int]


def read_cells(path: Path) -> tuple[NDArray[np.int64], str]:
    """Read where the cells of a site are.

    Args:
        path: A mask or label image; or a `.csv`, a table with columns y and x in pixels
            (row and column from 0), and optionally unit, a whole number for each cell.

    Returns:
        One row a cell: unit, y, x, in the file's order, or by label; and the digest of
        what was read.

    Raises:
        CorruptImage: The file can't be read.
        DataError: The table has no y and x, or a value is no number.
    """
    if path.suffix.lower() != ".csv":
        mask_yx, digest = read_plane(path, mask=True)
        return centers_of(mask_yx), digest
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path} can't be read ({error.strerror}); restore the file"
        raise CorruptImage(msg) from error
    return _from_csv(data, path), file_digest(data)


def centers_of(mask_yx: NDArray[Any]) -> NDArray[np.int64]:
    """The center of each cell of a mask or label image.

    Args:
        mask_yx: Integers or booleans (rows, columns); 0 is background.

    Returns:
        One row a cell: unit (the label), y, x; by rising label.
    """
    labels = np.asarray(mask_yx, dtype=np.int64)
    if len(np.unique(labels[labels != 0])) == 1:
        labels = label(labels, structure=np.ones((3, 3)))[0].astype(np.int64)
    y, x = np.nonzero(labels)
    units, which = np.unique(labels[y, x], return_inverse=True)
    count = np.bincount(which, minlength=len(units))
    middle = []
    for at in (y, x):
        total = np.zeros(len(units), dtype=np.int64)
        np.add.at(total, which, at)
        middle.append((2 * total + count) // (2 * np.maximum(count, 1)))
    return np.stack([units, *middle], axis=1).astype(np.int64)


def _from_csv(data: bytes, path: Path | str) -> NDArray[np.int64]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} can't be read as a table of centers ({error}); restore the file"
        raise CorruptImage(msg) from error
    names = reader.fieldnames or []
    if "y" not in names or "x" not in names:
        msg = f"{path} has columns {', '.join(names)}; expected y and x in pixels"
        raise DataError(msg)
    found = [
        (_number(row.get("unit", index), path, index), *_point(row, path, index))
        for index, row in enumerate(rows, start=1)
    ]
    if len({unit for unit, _, _ in found}) < len(found):
        raise DataError(f"{path} names a unit twice; number each cell once")
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _point(row: dict[str, Any], path: Path | str, index: int) -> tuple[int, int]:
    return _number(row["y"], path, index), _number(row["x"], path, index)


def _number(text: object, path: Path | str, index: int) -> int:
    try:
        return int(np.floor(float(str(text)) + 0.5))
    except (ValueError, OverflowError) as error:
        msg = f"{path} line {index + 1}: {text!r} is not a position in pixels"
        raise DataError(msg) from error
