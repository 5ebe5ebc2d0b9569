"""Incident rescue as an `Incident`: one plate training an arm and seed, then deployed.

Half of the control wells train, the other half is held out whole; a quarter of its
units draws the curves, which choose nothing. Axes as in the plate family.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

from normgate.contract import spec_digest
from normgate.engine.loop import fit
from normgate.engine.record import flat_params, spec_params
from normgate.engine.settings import FitSettings
from normgate.engine.split import Split
from normgate.families.plate.arms import ARMS, CROSSED
from normgate.families.plate.data import prepare
from normgate.families.plate.selection import select
from normgate.families.plate.settings import PRESETS, ModelSettings
from normgate.families.plate.split import folds_of
from normgate.families.plate.task import PlateTask
from normgate.incidents.outcome import Outcome
from normgate.incidents.rescue.claims import CLAIMS, COLUMNS
from normgate.incidents.rescue.deployment import (
    deploy,
    drugs,
    held_out,
    rescue_scores,
)
from normgate.incidents.rescue.figure import crossed_figure
from normgate.incidents.rescue.plates import Plates, PlateSettings
from normgate.incidents.rescue.specs import contract_spec, fluorescence_spec, spec_of
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from normgate.contract import Spec
    from normgate.families.plate.arms import Arm, Recipe
    from normgate.gate import Vital
    from normgate.incidents.port import Place, Size
    from normgate.incidents.table import Table
    from normgate.tracker import Scalar, Tracker

PRESET = PRESETS["rescue"]
GEOMETRY = Geometry(kind="tile", window=32, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    plates: PlateSettings
    epochs: int


_AMOUNT: Mapping[Size, _Amount] = {
    "demo": _Amount(plates=PlateSettings(), epochs=20),
    "reduced": _Amount(plates=PlateSettings(rows=4, sites=2), epochs=12),
}


class Rescue:
    """Implements `normgate.incidents.port.Incident`."""

    name = "rescue"
    family = "plate"
    arms: Mapping[str, str] = {arm.name: arm.about for arm in ARMS.values()}
    columns = COLUMNS
    claims = CLAIMS

    def __init__(self, place: Place) -> None:
        self._place = place
        self._amount = _AMOUNT[place.size]
        self._spec = cache(self._made)

    def identity(self, arm: str, seed: int) -> Mapping[str, Scalar]:
        """Settings of plates, recipe, network and fit."""
        declared = self._place.specs
        return {
            "arm": json.dumps(asdict(ARMS[arm]), sort_keys=True),
            "contract": spec_digest(contract_spec(declared)),
            "fluorescence": spec_digest(fluorescence_spec(declared)),
            **flat_params("plates", asdict(self._amount.plates)),
            **flat_params("fit", asdict(self._fit(seed))),
            **flat_params("model", asdict(ModelSettings())),
        }

    def run(self, arm: str, seed: int, tracker: Tracker, folder: Path) -> Outcome:
        """Train, deploy and score one arm under one seed."""
        began = time.process_time()
        chosen = ARMS[arm]
        tracker.params(
            {
                **flat_params("arm", asdict(chosen)),
                **flat_params("plates", asdict(self._amount.plates)),
                **flat_params("fit", asdict(self._fit(seed))),
                **spec_params(self._spec(chosen.recipe, seed)),
            }
        )
        task = self._trained(chosen, seed, tracker, folder)
        metrics, vitals = self._deployed(task, chosen, seed)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        return Outcome(
            arm=arm,
            seed=seed,
            metrics=metrics,
            vitals=vitals,
            step=self._amount.epochs,
            cpu_s=time.process_time() - began,
        )

    def figures(self, table: Table, folder: Path) -> Sequence[Path]:
        """AUROC and accuracy of every pair of recipes in training and deployment."""
        return [crossed_figure(folder / "crossed.png", table)]

    def _trained(
        self, arm: Arm, seed: int, tracker: Tracker, folder: Path
    ) -> PlateTask:
        """The arm's model, fitted here or found fitted."""
        places = self._plates(seed).places(
            arm.pictures,
            arm.recipe,
            arm.fault if arm.fault_at == "training" else "none",
        )
        loader = self._loader(arm.recipe, seed)
        units = prepare(loader, select(places, PRESET), folder / "cache")
        fold = folds_of(units.labels, units.groups, PRESET.classes, folds=2, seed=seed)
        test = (fold == 0).nonzero()[0]
        weights = arm.trained_as or arm.name
        task = PlateTask(
            name=f"{weights} seed {seed}",
            spec=loader.spec,
            units=units,
            parts=Split(
                train=(fold == 1).nonzero()[0], validation=test[::4], test=test
            ),
            model=ModelSettings(),
            classes=PRESET.classes,
            batch_size=self._fit(seed).batch_size,
            seed=seed,
        )
        kept = self._place.out / "train" / weights / f"seed{seed}"
        fit(task, self._fit(seed), tracker, kept)
        return task

    def _deployed(
        self, task: PlateTask, arm: Arm, seed: int
    ) -> tuple[dict[str, float], tuple[Vital, ...]]:
        """Figures and vitals of the arm's deployment, and of all others'."""
        recipe = arm.deployed or arm.recipe
        whole = arm.pictures == "no_biology" or arm.fault_at == "deployment"
        fault = arm.fault if whole else "none"
        loader = self._loader(recipe, seed)
        places = self._plates(seed).places(arm.pictures, recipe, fault)
        controls = deploy(task, loader, held_out(task, places))
        metrics = controls.metrics()
        of_channels = [v for v in task.vitals() if v.name.startswith("norm.")]
        stds = [v.value for v in of_channels if v.name.endswith(".std")]
        metrics["least_channel_std"] = min(stds)
        if arm.pictures != "no_biology":
            treated = drugs(places)
            scored = deploy(task, loader, treated)
            metrics |= rescue_scores(controls, scored, treated)
        if not arm.trained_as and arm.fault == "none" and arm.pictures == "plain":
            metrics |= self._crossed(task, seed)
        return metrics, (*of_channels, *controls.vitals())

    def _crossed(self, task: PlateTask, seed: int) -> dict[str, float]:
        """The same model under every recipe."""
        found: dict[str, float] = {}
        for recipe in CROSSED:
            places = self._plates(seed).places("plain", recipe)
            here = deploy(task, self._loader(recipe, seed), held_out(task, places))
            metrics = here.metrics()
            for name in ("auroc", "accuracy", *(f"p_{c}" for c in PRESET.classes)):
                found[f"on.{recipe}.{name}"] = metrics[name]
        return found

    def _loader(self, recipe: Recipe, seed: int) -> Loader:
        return Loader(self._spec(recipe, seed), GEOMETRY, 0)

    def _made(self, recipe: Recipe, seed: int) -> Spec:
        table = self._plates(seed).table("plain", "percentile_imagenet")
        return spec_of(recipe, self._place.specs, table)

    def _plates(self, seed: int) -> Plates:
        return Plates(
            self._place.out / "plates" / f"seed{seed}",
            self._amount.plates,
            seed,
            contract_spec(self._place.specs),
        )

    def _fit(self, seed: int) -> FitSettings:
        return FitSettings(epochs=self._amount.epochs, seed=seed, device="cpu")
