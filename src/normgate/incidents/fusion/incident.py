"""Incident fusion as an `Incident`: one fusion training an arm and seed.

Heads are simulated and split by patient: four fifths train, a fifth is held out and
scored; a quarter of it draws the curves, which choose nothing. Arms that differ in the
sampler alone take the weights of the arm that they name.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from normgate.engine.loop import fit
from normgate.engine.record import flat_params, spec_params
from normgate.engine.settings import FitSettings
from normgate.engine.split import Split, group_folds
from normgate.families.fusion.arms import ARMS
from normgate.families.fusion.data import prepare
from normgate.families.fusion.evaluation import evaluate
from normgate.families.fusion.figures import overview
from normgate.families.fusion.settings import TaskSettings
from normgate.families.fusion.task import FusionTask
from normgate.incidents.fusion.claims import CLAIMS, COLUMNS
from normgate.incidents.fusion.specs import spec_of
from normgate.incidents.outcome import Outcome
from normgate.volumes.cases import cases, read_case_csv
from normgate.volumes.demo import DemoSettings, write_demo
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.families.fusion.arms import Arm, CtNormalization
    from normgate.families.fusion.data import FusionUnits
    from normgate.incidents.port import Place, Size
    from normgate.incidents.table import Table
    from normgate.tracker import Scalar, Tracker
    from normgate.volumes.cases import Case

GEOMETRY = VolumeGeometry(dims=2, patch=(32, 32))
FOLDS = 5
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    heads: int
    passes: int
    """Passes over the training heads between two evaluations."""
    epochs: int


_AMOUNT: Mapping[Size, _Amount] = {
    "demo": _Amount(heads=120, passes=11, epochs=3),
    "reduced": _Amount(heads=60, passes=33, epochs=2),
}


class Fusion:
    """Implements `normgate.incidents.port.Incident`."""

    name = "fusion"
    family = "fusion"
    arms: Mapping[str, str] = {arm.name: arm.about for arm in ARMS.values()}
    columns = COLUMNS
    claims = CLAIMS

    def __init__(self, place: Place) -> None:
        self._place = place
        self._amount = _AMOUNT[place.size]
        self._spec = cache(self._made)

    def identity(self, arm: str, seed: int) -> Mapping[str, Scalar]:
        """Settings of heads, normalization, network, loss and fit."""
        return {
            "arm": json.dumps(asdict(ARMS[arm]), sort_keys=True),
            **flat_params("amount", asdict(self._amount)),
            **flat_params("fit", asdict(self._fit(seed))),
        }

    def run(self, arm: str, seed: int, tracker: Tracker, folder: Path) -> Outcome:
        """Train and score one arm under one seed."""
        began = time.process_time()
        chosen = ARMS[arm]
        tracker.params(
            {
                "arm.ct": chosen.ct,
                "arm.trained_as": chosen.trained_as or arm,
                **flat_params("model", asdict(chosen.model)),
                **flat_params("diffusion", asdict(chosen.diffusion)),
                **flat_params("loss", asdict(chosen.loss)),
                **flat_params("amount", asdict(self._amount)),
                **flat_params("fit", asdict(self._fit(seed))),
                **spec_params(self._spec(chosen.ct, seed)),
            }
        )
        task = self._trained(chosen, seed, tracker, folder)
        seen = evaluate(
            task.model, task.diffusion, task.units, task.parts.test, task.spans
        )
        overview(folder / PICTURE, seen)
        vitals = task.vitals()
        power = task.units.audit.power_share
        shares = {f"power_share.{name}": share for name, share in power.items()}
        shutil.rmtree(folder / "cache", ignore_errors=True)
        return Outcome(
            arm=arm,
            seed=seed,
            metrics={**seen.metrics, **shares},
            vitals=vitals,
            step=self._amount.epochs,
            cpu_s=time.process_time() - began,
            pictures=(PICTURE,),
        )

    def figures(self, table: Table, folder: Path) -> Sequence[Path]:
        """None but the common one."""
        return ()

    def _trained(
        self, arm: Arm, seed: int, tracker: Tracker, folder: Path
    ) -> FusionTask:
        """The arm's model, fitted here or found fitted, drawn as the arm draws."""
        loader = Loader(self._spec(arm.ct, seed), GEOMETRY)
        units = prepare(loader, self._cases(seed), folder / "cache")
        trained = ARMS[arm.trained_as or arm.name]
        task = self._task(trained, units, seed)
        kept = self._place.out / "train" / trained.name / f"seed{seed}"
        fit(task, self._fit(seed), tracker, kept)
        if trained is arm:
            return task
        own = self._task(arm, units, seed)
        own.model.load_state_dict(task.model.state_dict())
        return own

    def _task(self, arm: Arm, units: FusionUnits, seed: int) -> FusionTask:
        fold = _folds(units.groups, seed)
        test = np.flatnonzero(fold == 0)
        return FusionTask(
            name=f"{arm.name} seed {seed}",
            units=units,
            parts=Split(
                train=np.flatnonzero(fold != 0), validation=test[::4], test=test
            ),
            model=arm.model,
            diffusion=arm.diffusion,
            loss=arm.loss,
            batch_size=BATCH,
            seed=seed,
            settings=TaskSettings(passes=self._amount.passes),
        )

    def _made(self, ct: CtNormalization, seed: int) -> Spec:
        every = self._cases(seed)
        fold = _folds(np.array([case.split_group for case in every]), seed)
        return spec_of(ct, [every[at] for at in np.flatnonzero(fold != 0)])

    def _cases(self, seed: int) -> tuple[Case, ...]:
        settings = DemoSettings(seed=seed, cases=self._amount.heads)
        csv = write_demo(self._place.out / "heads" / f"seed{seed}", settings)
        return cases(read_case_csv(csv), csv)

    def _fit(self, seed: int) -> FitSettings:
        return FitSettings(
            epochs=self._amount.epochs, seed=seed, batch_size=BATCH, device="cpu"
        )


PICTURE = "fusion.png"


def _folds(groups: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    return group_folds(groups, folds=FOLDS, seed=seed, what="patients")
