"""Trained under one normalization, run under another: what the gate stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.families.plate.simulated import spec, units

from normgate.engine.loop import fit
from normgate.engine.settings import FitSettings
from normgate.engine.split import split_of
from normgate.families.plate.metrics import scores
from normgate.families.plate.settings import ModelSettings
from normgate.families.plate.split import folds_of
from normgate.families.plate.task import PlateTask
from normgate.plates.demo import DemoSettings, write_demo
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.families.plate.data import PlateUnits

CLASSES = ("WT", "APP")


REPLICATES = 3


@pytest.mark.slow
def test_the_wrong_normalization_at_deployment_is_a_coin_toss(tmp_path: Path) -> None:
    csv = write_demo(tmp_path / "demo", DemoSettings(plates=2, timepoints_ms=(0,)))
    right = units(csv, tmp_path / "cache")
    wrong = units(csv, tmp_path / "cache", name="plate_3ch_fluorescence")
    fold = folds_of(right.labels, right.groups, CLASSES, folds=5, seed=0)
    everything = np.arange(len(right.labels))
    held_out, crossed = [], []
    for number in range(REPLICATES):
        task = trained(right, fold, number, tmp_path / str(number))
        held_out.append(task.evaluate("test"))
        task.units = wrong
        crossed.append(task.logits(everything))
    ensemble = np.mean(crossed, axis=0)
    found = scores(ensemble, right.labels, right.groups, CLASSES)

    # Measured: 0.80 and 0.73 held out; 0.500 crossed, with P(APP) 0.02 and 0.03.
    assert np.mean([one["auroc"] for one in held_out]) > 0.75
    assert np.mean([one["accuracy"] for one in held_out]) > 0.65
    assert 0.45 < found["accuracy"] < 0.58, found
    # Both classes get one and the same answer.
    assert abs(found["p_APP"] - found["p_WT"]) < 0.1, found


def trained(
    right: PlateUnits, fold: NDArray[np.int64], number: int, folder: Path
) -> PlateTask:
    chosen = FitSettings(epochs=20, seed=number, device="cpu")
    task = PlateTask(
        name=f"replicate {number}",
        spec=spec(),
        units=right,
        parts=split_of(fold, 5, number),
        model=ModelSettings(),
        classes=CLASSES,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
    )
    fit(task, chosen, NullTracker(), folder)
    return task
