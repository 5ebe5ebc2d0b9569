"""The plate family as a study sees it: learning rate, weight decay, dropout.

A trial is one replicate on the first split; it is judged on that split's validation
wells alone. How units become wells is not searched: every part of the product takes the
mean.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from normgate.contract import spec_digest
from normgate.engine.probe import first_steps
from normgate.engine.tunable import Objective, Outcome, Weight
from normgate.families.plate.assemble import FAMILY, Origin, assemble
from normgate.families.plate.member import Member, Plan, train_member
from normgate.families.plate.vitals import normalized_vitals
from normgate.gate.vitals import prediction_vitals
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import Watch
    from normgate.gate import Vital
    from normgate.tracker import Scalar, Tracker

OBJECTIVES = (
    Objective(
        name="auroc",
        larger_is_better=True,
        worst=0.5,
        best=1.0,
        during="validation_auroc",
    ),
    Objective(
        name="nll",
        larger_is_better=False,
        worst=0.7,
        best=0.2,
        during="validation_nll",
    ),
    Objective(
        name="well_auroc",
        larger_is_better=True,
        worst=0.5,
        best=1.0,
        during="validation_well_auroc",
    ),
    Objective(
        name="ece",
        larger_is_better=False,
        worst=0.25,
        best=0.0,
        during="validation_ece",
    ),
)
_REPLICATE = 0


@dataclass(frozen=True, kw_only=True)
class PlateTunable:
    """Implements `normgate.engine.tunable.Tunable`."""

    plan: Plan
    """Units, split, and the network whose dropout is searched."""
    fit: FitSettings
    """The preset's; its lr and weight decay are the defaults."""
    origin: Origin
    family: str = FAMILY
    objectives: tuple[Objective, ...] = OBJECTIVES
    usual_objectives: tuple[str, ...] = ("auroc",)
    weighted: tuple[str, ...] = ("train_loss", "loss", "weighted_loss")
    constraints: tuple[str, ...] = ("predictions.one_class",)

    @property
    def name(self) -> str:
        """The registered model."""
        return self.plan.name

    @property
    def gauge(self) -> Mapping[str, float]:
        """None: cross-entropy is one term."""
        return {}

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Learning rate, weight decay and dropout."""
        return (
            Weight(
                name="lr",
                low=3e-4,
                high=3e-2,
                default=self.fit.lr,
                log=True,
                least=1e-9,
                most=1.0,
            ),
            Weight(
                name="weight_decay",
                low=1e-4,
                high=0.3,
                default=self.fit.weight_decay,
                log=True,
                most=100.0,
            ),
            Weight(
                name="dropout",
                low=0.0,
                high=0.5,
                default=self.plan.model.dropout,
                most=0.99,
            ),
        )

    @property
    def spec_digest(self) -> str:
        """The spec's digest."""
        return spec_digest(self.plan.spec)

    @property
    def data_digest(self) -> str:
        """Over the units and which of them train, validate and test."""
        split = self.plan.fold.tobytes() + str(self.plan.folds).encode()
        return hashlib.sha256(self.plan.units.digest.encode() + split).hexdigest()

    @property
    def budget(self) -> Mapping[str, Scalar]:
        """What every trial shares; the device may change."""
        fixed = asdict(self.fit) | {
            f"model.{key}": value for key, value in asdict(self.plan.model).items()
        }
        searched = {"lr", "weight_decay", "model.dropout", "seed", "device"}
        return {
            key: "none" if value is None else value
            for key, value in fixed.items()
            if key not in searched
        }

    def effect(self, settings: Mapping[str, float]) -> NDArray[np.float64]:
        """Gradients and updates of the first steps."""
        plan, fit = self._chosen(settings, self.fit.seed)
        return first_steps(plan.task(_REPLICATE, fit), fit)

    def trial(
        self, settings: Mapping[str, float], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        """Train one replicate and judge it on its validation wells."""
        watch.vitals(self._normalized, step=0)
        member = self._member(settings, seed, watch, folder)
        last = member.history[-1]
        return Outcome(
            metrics={one.name: last[one.during] for one in self.objectives},
            weighted_loss=last["train_loss"],
            vitals=(*self._normalized, *self._predicted(settings, seed, member)),
        )

    def held_out(
        self, settings: Mapping[str, float], seed: int, folder: Path
    ) -> dict[str, float]:
        """Calibrated metrics of the test wells."""
        found = self._member(settings, seed, NullTracker(), folder).card.metrics
        return {one.name: found[f"test_{one.name}"] for one in self.objectives}

    def bundle(
        self,
        settings: Mapping[str, float],
        trainings: Sequence[tuple[int, Path]],
        to: Path,
    ) -> None:
        """Write the bundle of some trainings of one split."""
        members = [
            self._member(settings, seed, NullTracker(), folder)
            for seed, folder in trainings
        ]
        numbered = [
            replace(member, card=replace(member.card, replicate=number))
            for number, member in enumerate(members)
        ]
        plan, fit = self._chosen(settings, trainings[0][0])
        assemble(to, plan, numbered, fit, self.origin)

    @cached_property
    def _normalized(self) -> tuple[Vital, ...]:
        return normalized_vitals(self.plan.spec, self.plan.units)

    def _predicted(
        self, settings: Mapping[str, float], seed: int, member: Member
    ) -> tuple[Vital, ...]:
        """Of the validation wells; those of a member's own record are of the test."""
        plan, fit = self._chosen(settings, seed)
        task = plan.task(_REPLICATE, fit)
        task.model.load_state_dict(member.state)
        logits = torch.from_numpy(task.logits(task.parts.validation))
        positive = torch.softmax(logits, dim=1)[:, -1].tolist()
        return prediction_vitals(positive, positive=plan.classes[-1])

    def _member(
        self, settings: Mapping[str, float], seed: int, tracker: Tracker, folder: Path
    ) -> Member:
        plan, fit = self._chosen(settings, seed)
        task = plan.task(_REPLICATE, fit)
        return train_member(task, _REPLICATE, fit, tracker, folder)

    def _chosen(
        self, settings: Mapping[str, float], seed: int
    ) -> tuple[Plan, FitSettings]:
        model = replace(self.plan.model, dropout=settings["dropout"])
        fit = replace(
            self.fit,
            lr=settings["lr"],
            weight_decay=settings["weight_decay"],
            seed=seed,
        )
        return replace(self.plan, model=model), fit
