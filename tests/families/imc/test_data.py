"""Units are cached by content, bound by marker, and corrupt files are quarantined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from tests.families.imc.bundles import GEOMETRY, demo, rows_of, spec

from normgate.acquisitions.load import Loader
from normgate.errors import DataError
from normgate.families.imc.data import Known, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.families.imc.units import ImcUnits


def made(csv: Path, cache: Path) -> ImcUnits:
    return prepare(Loader(spec(), GEOMETRY), rows_of(csv), cache)


def test_units_are_made_once_and_again_when_a_file_changes(tmp_path: Path) -> None:
    csv = demo(tmp_path / "demo", permute=True)
    first = made(csv, tmp_path)
    meta = next(tmp_path.glob("*/meta.json"))
    stamp = meta.stat().st_mtime_ns
    again = made(csv, tmp_path)
    assert meta.stat().st_mtime_ns == stamp
    assert again.digest == first.digest
    with h5py.File(tmp_path / "demo" / "slide-02.h5", "r+") as file:
        file["slide-02-0001"][0, 0, 0] += 1
    assert made(csv, tmp_path).digest != first.digest


def test_panels_in_another_order_give_the_same_units(tmp_path: Path) -> None:
    one = made(demo(tmp_path / "a", permute=True), tmp_path / "cache-a")
    two = made(demo(tmp_path / "b", permute=False), tmp_path / "cache-b")
    assert np.array_equal(one.raw, two.raw)
    assert np.array_equal(one.images, two.images)


def test_a_corrupt_slide_is_quarantined_and_the_others_train(tmp_path: Path) -> None:
    csv = demo(tmp_path / "demo", permute=True)
    (tmp_path / "demo" / "slide-02.h5").write_bytes(b"no HDF5")
    found = made(csv, tmp_path)
    assert len(found.quarantined) == 4
    assert "slide-02" in found.quarantined[0]
    assert len(found.raw) == 20
    assert not any(name.startswith("slide-02") for name in found.names)


def test_when_most_are_corrupt_there_is_nothing_to_train(tmp_path: Path) -> None:
    csv = demo(tmp_path / "demo", permute=True)
    for number in range(1, 5):
        (tmp_path / "demo" / f"slide-0{number}.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="16 of 24 acquisitions can't be read"):
        made(csv, tmp_path)


def test_what_is_known_of_acquisitions_comes_along(tmp_path: Path) -> None:
    csv = demo(tmp_path / "demo", permute=True)
    rows = rows_of(csv)
    clean = np.ones((8, 6, 6), dtype=np.float32)
    known = {
        row.acquisition: Known(density=float(number), clean_cyx=number * clean)
        for number, row in enumerate(rows)
    }
    found = prepare(Loader(spec(), GEOMETRY), rows, tmp_path, known)
    assert found.clean is not None
    assert found.labels["density"].tolist() == list(range(24))
    assert found.clean[:, 0, 0, 0].tolist() == list(range(24))
    assert set(found.labels["class"]) <= {f"class-{k}" for k in range(4)}
