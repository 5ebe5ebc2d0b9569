"""Incident imc as an `Incident`: one reconstruction training an arm and seed.

Units are simulated and every arm of a seed sees the same ones. How an arm is trained
and scored is `families.imc.replay`'s.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from normgate.acquisitions.simulate import World, WorldSettings
from normgate.engine.record import flat_params
from normgate.engine.split import Split
from normgate.families.imc.arms import ARMS
from normgate.families.imc.replay import Drawn, train_arm
from normgate.incidents.imc.claims import CLAIMS, COLUMNS
from normgate.incidents.imc.figure import reconstructions
from normgate.incidents.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from normgate.incidents.port import Place, Size
    from normgate.incidents.table import Table
    from normgate.tracker import Scalar, Tracker

PICTURE = "reconstructions.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    train: int
    validation: int
    test: int
    steps: int


_AMOUNT: Mapping[Size, _Amount] = {
    "demo": _Amount(train=1024, validation=32, test=384, steps=800),
    "reduced": _Amount(train=1024, validation=32, test=128, steps=800),
}


class Imc:
    """Implements `normgate.incidents.port.Incident`."""

    name = "imc"
    family = "imc"
    arms: Mapping[str, str] = {arm.name: arm.about for arm in ARMS.values()}
    columns = COLUMNS
    claims = CLAIMS

    def __init__(self, place: Place) -> None:
        self._place = place
        self._amount = _AMOUNT[place.size]
        self._drawn = cache(self._simulated)

    def identity(self, arm: str, seed: int) -> Mapping[str, Scalar]:
        """Settings of units, normalization, network, loss and fit."""
        return {
            "arm": json.dumps(asdict(ARMS[arm]), sort_keys=True),
            "world": json.dumps(asdict(WorldSettings(seed=seed)), sort_keys=True),
            **flat_params("amount", asdict(self._amount)),
        }

    def run(self, arm: str, seed: int, tracker: Tracker, folder: Path) -> Outcome:
        """Train and score one arm under one seed."""
        began = time.process_time()
        chosen = ARMS[arm]
        tracker.params(
            {
                "arm.normalization": chosen.normalization,
                "arm.turned": chosen.turned,
                "seed": seed,
                **flat_params("model", asdict(chosen.model)),
                **flat_params("loss", asdict(chosen.loss)),
                **flat_params("amount", asdict(self._amount)),
            }
        )
        kept = self._place.out / "train" / arm / f"seed{seed}"
        drawn = self._drawn(seed)
        done = train_arm(arm, seed, drawn, self._amount.steps, tracker, kept)
        reconstructions(folder / PICTURE, done.task)
        return Outcome(
            arm=arm,
            seed=seed,
            metrics={k: v for k, v in done.metrics.items() if not k.startswith("r2.")},
            vitals=done.vitals,
            step=done.epochs,
            cpu_s=time.process_time() - began,
            pictures=(PICTURE,),
        )

    def figures(self, table: Table, folder: Path) -> Sequence[Path]:
        """None but the common one."""
        return ()

    def _simulated(self, seed: int) -> Drawn:
        """The units of a seed: a world of its own, acquisitions by number."""
        amount, world = self._amount, World(WorldSettings(seed=seed))
        ends = np.cumsum([amount.train, amount.validation, amount.test])
        every = [world.acquisition(number) for number in range(ends[-1])]
        train, validation, test = np.split(np.arange(ends[-1]), ends[:-1])
        return Drawn(
            raw=np.stack([one.array_cyx for one in every]),
            clean=np.stack([one.clean_cyx for one in every]),
            classes=np.array([f"class {one.label}" for one in every]),
            density=np.array([one.density for one in every]),
            parts=Split(train=train, validation=validation, test=test),
        )
