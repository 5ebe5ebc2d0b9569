"""Simulated plates and what is made of them, small enough for any test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from normgate.contract import read_spec
from normgate.families.plate.data import PlateUnits, prepare
from normgate.families.plate.selection import select
from normgate.families.plate.settings import PRESETS
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader, sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Spec
    from normgate.plates.load import Site

GEOMETRY = Geometry(kind="tile", window=32, size=32)
SMALL = DemoSettings(plates=1, rows=4)


def spec(name: str = "plate_3ch") -> Spec:
    return read_spec(ROOT / "contracts" / "specs" / f"{name}.json")


def places(csv: Path) -> list[Site]:
    return sites(read_plate_csv(csv), csv)


def units(
    csv: Path, cache: Path, *, name: str = "plate_3ch", preset: str = "rescue"
) -> PlateUnits:
    timepoint = 0 if PRESETS[preset].per_timepoint else None
    loader = Loader(spec(name), GEOMETRY, timepoint)
    return prepare(loader, select(places(csv), PRESETS[preset]), cache)


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plate CSV of a demonstration of one plate and four rows."""
    return write_demo(tmp_path_factory.mktemp("demo"), SMALL)


@pytest.fixture(scope="session")
def small_units(
    small_demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> PlateUnits:
    """Its control units at 0 ms, under the contract's spec."""
    return units(small_demo, tmp_path_factory.mktemp("cache"))
