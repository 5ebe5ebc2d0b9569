"""Traps of bit depth and range are found by what the values are."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from normgate.plates.inspection import inspect, inspect_array

if TYPE_CHECKING:
    from pathlib import Path

RAMP = np.arange(64 * 64).reshape(64, 64)

CASES = [
    pytest.param((RAMP % 256 * 257).astype(np.uint16), "times-257", id="8-bit-x257"),
    pytest.param((RAMP + 32768).astype(np.uint16), "offset-32768", id="offset"),
    pytest.param((RAMP * 16).astype(np.uint16), "shifted", id="12-bit-shifted"),
    pytest.param((RAMP * 4).astype(np.uint16), "shifted", id="14-bit-shifted"),
    pytest.param((RAMP % 239).astype(np.uint16), "eight-bit-range", id="8-bit-range"),
    pytest.param(RAMP.astype(np.uint16), "bit-depth", id="12-bit"),
    pytest.param((RAMP + 9000).astype(np.uint16), "bit-depth", id="14-bit"),
    pytest.param((RAMP * 15 + 1).astype(np.uint16), None, id="16-bit"),
    pytest.param((RAMP - 2000).astype(np.int16), None, id="signed"),
    pytest.param((RAMP % 256).astype(np.uint8), None, id="8-bit"),
    pytest.param(np.zeros((9, 9), np.uint16), "constant", id="dead"),
    pytest.param(np.full((9, 9), np.nan, np.float32), "not-finite", id="nan"),
    pytest.param(np.full((9, 9), 0.5, np.float32), "constant", id="flat-float"),
    pytest.param(RAMP.astype(np.float32), None, id="float"),
    pytest.param(
        np.minimum(RAMP * 20 + 1, 65535).astype(np.uint16), "saturated", id="saturated"
    ),
]


@pytest.mark.parametrize(("image", "kind"), CASES)
def test_each_trap_is_named(image: np.ndarray[Any, Any], kind: str | None) -> None:
    found = inspect_array(image, "x.tif")
    assert [f.kind for f in found] == ([kind] if kind else [])
    assert all(f.where == "x.tif" and f.sentence for f in found)


def test_the_traps_of_real_files_are_found(real_data: Path, tmp_path: Path) -> None:
    plates = real_data / "plates"
    (nf1,) = inspect(plates / "nf1_plate2_cytodataframe/images/B7_01_3_3_RFP_001.tif")
    assert nf1.kind == "times-257"
    (small,) = inspect(plates / "stardist_testdata" / "img2d.tif")
    assert small.kind == "eight-bit-range"
    packed = sorted((plates / "embl_scanr_offset32768").glob("*.gz"))[0]
    plain = tmp_path / packed.stem
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    (offset,) = inspect(plain)
    assert offset.kind == "offset-32768"
    assert "12-bit" in offset.sentence
