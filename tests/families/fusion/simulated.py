"""Simulated heads as files and what is made of them, small enough for any test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.conftest import ROOT

from normgate.contract import read_spec
from normgate.engine.split import group_folds
from normgate.families.fusion.data import FusionUnits, prepare
from normgate.families.fusion.plan import Plan
from normgate.families.fusion.settings import (
    DiffusionSettings,
    LossSettings,
    ModelSettings,
    TaskSettings,
)
from normgate.volumes.cases import Case, cases, read_case_csv
from normgate.volumes.demo import DemoSettings, write_demo
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Spec

GEOMETRY = VolumeGeometry(dims=2, patch=(16, 16))
HEADS = DemoSettings(cases=9, seed=5, shape_zyx=(2, 20, 20))
"""Two slices each, a little wider than a patch."""
QUICK = DiffusionSettings(steps=2)


def spec(name: str = "fusion_mri_ct") -> Spec:
    return read_spec(ROOT / "contracts" / "specs" / f"{name}.json")


def loader(name: str = "fusion_mri_ct", geometry: VolumeGeometry = GEOMETRY) -> Loader:
    return Loader(spec(name), geometry)


def rows(csv: Path) -> tuple[Case, ...]:
    return cases(read_case_csv(csv), csv)


def plan(units: FusionUnits, **changed: object) -> Plan:
    chosen: dict[str, object] = {
        "name": "fusion-small",
        "spec": spec(),
        "units": units,
        "fold": group_folds(units.groups, folds=3, seed=0, what="patients"),
        "folds": 3,
        "model": ModelSettings(),
        "diffusion": QUICK,
        "loss": LossSettings(),
        "task_settings": TaskSettings(passes=1),
    }
    return Plan(**(chosen | changed))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case CSV of nine small heads."""
    return write_demo(tmp_path_factory.mktemp("heads"), HEADS)


@pytest.fixture(scope="session")
def head_units(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> FusionUnits:
    """Their patches, under the contract's spec."""
    return prepare(loader(), rows(heads), tmp_path_factory.mktemp("cache"))


def first_patches(units: FusionUnits) -> np.ndarray:
    """Patch numbers of the first case."""
    return np.flatnonzero(units.cases == units.cases[0])
