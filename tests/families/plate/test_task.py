"""The plate task, held to the suite of every family, and its own symmetries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.families.conformance import TaskConformance
from tests.families.plate.simulated import spec

from normgate.engine.split import split_of
from normgate.families.plate.settings import ModelSettings
from normgate.families.plate.split import folds_of
from normgate.families.plate.task import PlateTask, jittered, turned

if TYPE_CHECKING:
    from normgate.families.plate.data import PlateUnits

CLASSES = ("WT", "APP")


class TestPlateTask(TaskConformance):
    @pytest.fixture(autouse=True)
    def _units(self, small_units: PlateUnits) -> None:
        self.units = small_units

    def task(self, **changed: Any) -> PlateTask:
        units = self.units
        fold = folds_of(units.labels, units.groups, CLASSES, folds=3, seed=0)
        return PlateTask(
            name="small",
            spec=spec(),
            units=units,
            parts=split_of(fold, 3, 0),
            model=ModelSettings(**changed),
            classes=CLASSES,
            batch_size=16,
            seed=1,
        )

    def test_no_well_is_in_two_parts(self) -> None:
        parts = self.task().parts
        wells = [set(self.units.groups[at]) for at in (parts.train, parts.validation)]
        wells.append(set(self.units.groups[parts.test]))
        assert sum(map(len, wells)) == len(set.union(*wells)) == 16
        assert sum(len(getattr(parts, name)) for name in ("train", "test")) < 144

    def test_evaluation_names_each_class(self) -> None:
        found = self.task().evaluate("test")
        assert set(found) == {
            "auroc", "well_auroc", "accuracy", "nll", "well_nll", "ece",
            "p_WT", "p_APP",
        }  # fmt: skip

    def test_vitals_of_healthy_plates_are_not_red(self) -> None:
        found = {vital.name: vital for vital in self.task().vitals()}
        for channel in ("RFP1", "HALO", "HALO_MASKED"):
            assert found[f"norm.{channel}.dead"].level == "green"
            assert found[f"norm.{channel}.saturated_high"].value < 0.05
        assert "predictions.one_class" in found


def test_the_eight_symmetries_are_all_different_and_keep_every_pixel() -> None:
    unit = torch.arange(2 * 3 * 3, dtype=torch.float32).reshape(1, 2, 3, 3)
    all_eight = turned(unit.expand(8, -1, -1, -1), torch.arange(8))
    assert len({tuple(one.flatten().tolist()) for one in all_eight}) == 8
    for one in all_eight:
        assert np.array_equal(np.sort(one[0].ravel()), np.sort(unit[0, 0].ravel()))
    assert torch.equal(all_eight[0], unit[0])


def test_intensity_is_left_alone_unless_it_is_asked_for() -> None:
    units = torch.randn(4, 3, 8, 8)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert jittered(units, 0.0, generator) is units
    assert torch.equal(generator.get_state(), before)
    changed = jittered(units, 0.2, generator)
    gain = (changed - changed.mean((2, 3), keepdim=True)).std((2, 3)) / units.std(
        (2, 3)
    )
    assert torch.all((gain - 1).abs() <= 0.2 + 1e-5)
    assert gain.std() > 0.01
