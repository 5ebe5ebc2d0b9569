"""Cells: their centers from masks, label images and tables."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from normgate.errors import CorruptImage, DataError
from normgate.plates.cells import centers_of, read_cells

if TYPE_CHECKING:
    from pathlib import Path


def test_a_mask_is_split_into_connected_parts() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:5, 3:6] = 255
    mask[10:13, 10:14] = 255
    mask[13, 14] = 255
    assert centers_of(mask).tolist() == [[1, 3, 4], [2, 11, 12]]


def test_labels_are_cells_even_where_they_touch() -> None:
    labels = np.zeros((12, 12), np.uint16)
    labels[0:4, 0:4], labels[0:4, 4:8] = 7, 3
    assert centers_of(labels).tolist() == [[3, 2, 6], [7, 2, 2]]


def test_no_cell_gives_no_center() -> None:
    assert centers_of(np.zeros((9, 9), bool)).shape == (0, 3)


def cells(folder: Path, name: str, data: bytes) -> np.ndarray:
    path = folder / name
    path.write_bytes(data)
    found, digest = read_cells(path)
    assert digest == hashlib.sha256(data).hexdigest()
    return found


def test_a_table_gives_positions_in_pixels(tmp_path: Path) -> None:
    found = cells(tmp_path, "a.csv", b"x,y,unit\n10.5,3.2,7\n4,5,9\n")
    assert found.tolist() == [[7, 3, 11], [9, 5, 4]]
    assert cells(tmp_path, "b.CSV", b"y,x\n1,2\n").tolist() == [[1, 1, 2]]
    assert cells(tmp_path, "c.csv", b"y,x\n").shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"row,column\n1,2\n", "expected y and x"),
        (b"y,x\n1,left\n", "line 2: 'left'"),
        (b"y,x\n1,nan\n", "line 2: 'nan'"),
        (b"y,x,unit\n1,2,5\n3,4,5\n", "twice"),
    ],
)
def test_a_table_that_is_none_is_refused(
    tmp_path: Path, text: bytes, word: str
) -> None:
    with pytest.raises(DataError, match=rf"cells\.csv.*{word}"):
        cells(tmp_path, "cells.csv", text)


def test_a_broken_mask_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match=r"mask\.tif"):
        cells(tmp_path, "mask.tif", b"II*\0")


def test_a_missing_table_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match=r"gone\.csv"):
        read_cells(tmp_path / "gone.csv")


def test_real_nuclei_are_found_where_they_are(real_data: Path) -> None:
    folder = real_data / "plates/nf1_plate2_cytodataframe/masks"
    path = folder / "D6_01_1_2_DAPI_001_MaskNuclei.tiff"
    found, _ = read_cells(path)
    assert len(found) > 10
    assert (found[:, 1] < 904).all()
    assert (found[:, 2] < 1224).all()
