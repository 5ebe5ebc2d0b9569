"""Trained under one normalization, run under another: what the gate stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.families.plate.simulated import spec, units

from normgate.engine.loop import fit
from normgate.engine.settings import FitSettings
from normgate.families.plate.settings import ModelSettings
from normgate.families.plate.split import folds_of, split_of
from normgate.families.plate.task import PlateTask
from normgate.plates.demo import DemoSettings, write_demo
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("WT", "APP")


@pytest.mark.slow
def test_the_wrong_normalization_at_deployment_is_a_coin_toss(tmp_path: Path) -> None:
    csv = write_demo(tmp_path / "demo", DemoSettings(plates=2, timepoints_ms=(0,)))
    right = units(csv, tmp_path / "cache")
    wrong = units(csv, tmp_path / "cache", name="plate_3ch_fluorescence")
    fold = folds_of(right.labels, right.groups, CLASSES, folds=5, seed=0)
    chosen = FitSettings(epochs=20, seed=0, device="cpu")
    task = PlateTask(
        name="right",
        spec=spec(),
        units=right,
        parts=split_of(fold, 5, 0),
        model=ModelSettings(),
        classes=CLASSES,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
    )
    fit(task, chosen, NullTracker(), tmp_path / "fit")
    same = task.evaluate("test")

    task.units = wrong
    crossed = task.evaluate("test")

    assert same["auroc"] > 0.75
    assert same["accuracy"] > 0.65
    assert 0.45 < crossed["accuracy"] < 0.6, crossed
    # Both classes get one and the same answer: the model is sure and knows nothing.
    assert abs(crossed["p_APP"] - crossed["p_WT"]) < 0.05
    assert not 0.05 < crossed["p_APP"] < 0.95
