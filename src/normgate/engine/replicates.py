"""A tunable made of what every family has: a replicate as a task, and its bundle.

A trial trains the first replicate's split and is judged on its validation part; nothing
looks at the test part before a choice is made. After two thirds of a training its watch
is told the vitals of the validation part, and may end it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from normgate.engine.loop import fit
from normgate.engine.member import Member, train_member
from normgate.engine.probe import first_steps
from normgate.engine.tunable import Outcome
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.engine.member import Replicate
    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import (
        Choice,
        Objective,
        Setting,
        Terms,
        Watch,
        Weight,
    )
    from normgate.tracker import Scalar

HEEDED_AFTER = 2 / 3
"""Share of a training's epochs after which its vitals are told: before that, much is
red that will be green."""
_REPLICATE = 0
_OF_FIT = ("lr", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class ReplicateTunable:
    """Implements `normgate.engine.tunable.Tunable`."""

    terms: Terms
    name: str
    constraints: tuple[str, ...]
    spec_digest: str
    data_digest: str
    fit: FitSettings
    """The preset's. A weight called lr or weight_decay takes the place of its own."""
    fixed: Mapping[str, Scalar]
    """The family's settings that are not searched, flat."""
    task_of: Callable[[Mapping[str, Setting], FitSettings], Replicate]
    """The first replicate with given settings."""
    bundle_of: Callable[
        [Mapping[str, Setting], FitSettings, Sequence[Member], Path], object
    ]
    """Write the bundle of members that were trained with given settings."""
    of_vitals: Mapping[str, str] = field(default_factory=dict)
    """Objectives that no epoch tells, and the vital whose value they are."""

    @property
    def family(self) -> str:
        """The family's name."""
        return self.terms.family

    @property
    def weights(self) -> tuple[Weight, ...]:
        """What may be searched."""
        return self.terms.weights

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What may be searched besides, of words."""
        return self.terms.choices

    @property
    def gauge(self) -> Mapping[str, float]:
        """Weights that stay as they are."""
        return self.terms.gauge

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Every metric that may be an objective."""
        return self.terms.objectives

    @property
    def usual_objectives(self) -> tuple[str, ...]:
        """Those of a study that names none."""
        return self.terms.usual_objectives

    @property
    def weighted(self) -> tuple[str, ...]:
        """Losses that contain searched weights."""
        return self.terms.weighted

    @property
    def budget(self) -> Mapping[str, Scalar]:
        """What every trial shares; the device may change."""
        searched = {one.name for one in self.weights}
        own = asdict(self.fit)
        shared = {
            key: "none" if value is None else value
            for key, value in own.items()
            if key not in {"seed", "device"} | (searched & set(_OF_FIT))
        }
        return {**self.fixed, **shared}

    def effect(self, settings: Mapping[str, Setting]) -> NDArray[np.float64]:
        """Gradients and updates of the first steps, and how they are judged then."""
        chosen = self._fit(settings, self.fit.seed)
        task = self.task_of(settings, chosen)
        found = first_steps(task, chosen)
        if not self.choices:
            return found
        judged = [value for _, value in sorted(task.evaluate("validation").items())]
        return np.append(found, np.nan_to_num(judged))

    def trial(
        self, settings: Mapping[str, Setting], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        """Train the first replicate's split, and judge its validation part."""
        chosen = self._fit(settings, seed)
        task = self.task_of(settings, chosen)
        heeding = _Heeding(watch, task, math.ceil(HEEDED_AFTER * chosen.epochs))
        fitted = fit(task, chosen, heeding, folder)
        vitals = task.alarms()
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
        self, settings: Mapping[str, Setting], seed: int, folder: Path
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
        settings: Mapping[str, Setting],
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

    def _member(
        self, settings: Mapping[str, Setting], seed: int, folder: Path
    ) -> Member:
        chosen = self._fit(settings, seed)
        task = self.task_of(settings, chosen)
        return train_member(task, _REPLICATE, chosen, NullTracker(), folder)

    def _fit(self, settings: Mapping[str, Setting], seed: int) -> FitSettings:
        own = {name: float(settings[name]) for name in _OF_FIT if name in settings}
        return replace(self.fit, seed=seed, **own)  # type: ignore[arg-type]


class _Heeding:
    """A watch that is told of vitals once on the way, after an epoch's metrics."""

    def __init__(self, watch: Watch, task: Replicate, epoch: int) -> None:
        self._watch, self._task, self._epoch = watch, task, epoch
        self.params, self.tags, self.note = watch.params, watch.tags, watch.note
        self.artifact, self.image = watch.artifact, watch.image

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Report an epoch, and the vitals after the one that was chosen.

        Raises:
            Pruned: As the watch raised it.
        """
        self._watch.metrics(values, step)
        if step == self._epoch:
            self._watch.vitals(self._task.alarms(), step)
