"""A tunable made of what every family has: a replicate as a task, and its bundle.

A trial trains the first replicate's split and is judged on its validation part; nothing
looks at the test part before a choice is made. From two thirds of a training on, a red
vital of the validation part ends it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from normgate.engine.loop import fit
from normgate.engine.member import Member, train_member
from normgate.engine.probe import first_steps
from normgate.engine.tunable import Outcome
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from normgate.engine.member import Replicate
    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import Objective, Watch, Weight
    from normgate.tracker import Scalar

HEEDED_FROM = 2 / 3
"""Share of a training's epochs after which a red vital ends it."""
_REPLICATE = 0
_OF_FIT = ("lr", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class ReplicateTunable:
    """Implements `normgate.engine.tunable.Tunable`."""

    family: str
    name: str
    weights: tuple[Weight, ...]
    objectives: tuple[Objective, ...]
    usual_objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    spec_digest: str
    data_digest: str
    fit: FitSettings
    """The preset's. A weight called lr or weight_decay takes the place of its own."""
    fixed: Mapping[str, Scalar]
    """The family's settings that are not searched, flat."""
    task_of: Callable[[Mapping[str, float], FitSettings], Replicate]
    """The first replicate with given weights."""
    bundle_of: Callable[
        [Mapping[str, float], FitSettings, Sequence[Member], Path], object
    ]
    """Write the bundle of members that were trained with given weights."""
    gauge: Mapping[str, float] = field(default_factory=dict)
    of_vitals: Mapping[str, str] = field(default_factory=dict)
    """Objectives that no epoch tells, and the vital whose value they are."""
    weighted: tuple[str, ...] = ("loss", "train_loss", "weighted_loss")

    @property
    def budget(self) -> Mapping[str, Scalar]:
        """What every trial shares; the device may change."""
        searched = {one.name for one in self.weights}
        own = asdict(self._fit({}, 0))
        shared = {
            key: "none" if value is None else value
            for key, value in own.items()
            if key not in {"seed", "device"} | (searched & set(_OF_FIT))
        }
        return {**self.fixed, **shared}

    def effect(self, settings: Mapping[str, float]) -> NDArray[np.float64]:
        """Gradients and updates of the first steps."""
        chosen = self._fit(settings, self.fit.seed)
        return first_steps(self.task_of(settings, chosen), chosen)

    def trial(
        self, settings: Mapping[str, float], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        """Train the first replicate's split, and judge its validation part."""
        chosen = self._fit(settings, seed)
        task = self.task_of(settings, chosen)
        fitted = fit(task, chosen, watch, folder)
        vitals = task.alarms()
        if fitted.epochs < chosen.epochs:
            watch.vitals(vitals, fitted.epochs)
        last = fitted.history[-1]
        measured = {vital.name: vital.value for vital in vitals}
        measured |= {
            name: measured[vital]
            for name, vital in self.of_vitals.items()
            if vital in measured
        }
        return Outcome(
            metrics={
                one.name: last.get(
                    f"validation_{one.name}", measured.get(one.name, math.nan)
                )
                for one in self.objectives
            },
            weighted_loss=last["train_loss"],
            vitals=vitals,
        )

    def held_out(
        self, settings: Mapping[str, float], seed: int, folder: Path
    ) -> dict[str, float]:
        """What the finished replicate says of its test part."""
        found = self._member(settings, seed, folder).card.metrics
        return {
            one.name: found[f"test_{one.name}"]
            for one in self.objectives
            if f"test_{one.name}" in found
        }

    def bundle(
        self,
        settings: Mapping[str, float],
        trainings: Sequence[tuple[int, Path]],
        to: Path,
    ) -> None:
        """Write the bundle of some trainings of one split."""
        members = [self._member(settings, seed, folder) for seed, folder in trainings]
        numbered = [
            replace(member, card=replace(member.card, replicate=number))
            for number, member in enumerate(members)
        ]
        self.bundle_of(settings, self._fit(settings, trainings[0][0]), numbered, to)

    def _member(self, settings: Mapping[str, float], seed: int, folder: Path) -> Member:
        chosen = self._fit(settings, seed)
        task = self.task_of(settings, chosen)
        return train_member(task, _REPLICATE, chosen, NullTracker(), folder)

    def _fit(self, settings: Mapping[str, float], seed: int) -> FitSettings:
        own = {name: settings[name] for name in _OF_FIT if name in settings}
        heeded = self.fit.stop_on_red or math.ceil(HEEDED_FROM * self.fit.epochs)
        return replace(self.fit, seed=seed, stop_on_red=heeded, **own)  # type: ignore[arg-type]
