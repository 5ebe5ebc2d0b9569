"""A small family that really trains: a regression with a smoothness and a size penalty.

Two weights act, and a third one, `unused`, is searched by nothing in the loss where
`dead` is asked for. More smoothing costs accuracy, so that there is a front. With
`choosing` there is a choice besides, of what a roughness is measured on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from normgate.engine.tunable import Choice, Objective, Outcome, Weight
from normgate.gate import Vital
from normgate.tune.goal import goal_of
from normgate.tune.space import Space, space_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.engine.tunable import Searchable, Setting, Watch

SMOOTH = Weight(name="smooth", low=1e-3, high=10.0, default=0.1, log=True)
SHRINK = Weight(name="shrink", low=0.0, high=1.0, default=0.01)
UNUSED = Weight(name="unused", low=0.1, high=1.0, default=0.5)
READOUT = Choice(
    name="readout", options=("all", "half", "end"), default="all", judges=("rough",)
)
"""Of which predictions the roughness is told: it changes no training."""
EPOCHS = 4


def nothing(slot: Mapping[str, Setting], seed: int) -> None:
    """Happens before a training."""


def usual_space(tunable: Searchable, given: Mapping[str, str] | None = None) -> Space:
    """The space of a study that is judged by the usual objectives."""
    return space_of(tunable, given or {}, goal_of(tunable, (), desirable=False))


@dataclass
class ToyTunable:
    dead: bool = False
    choosing: bool = False
    equal: bool = False
    """Whether all its options are the same."""
    before: Callable[[Mapping[str, Setting], int], None] = nothing
    spec_digest: str = "5" * 64
    data_digest: str = "d" * 64
    epochs: int = EPOCHS
    family: str = "toy"
    name: str = "toy-line"
    red_above: float = float("inf")
    """Of `smooth`: where the run's only vital turns red."""
    trained: list[tuple[str, int]] = field(default_factory=list)

    gauge = {"mse": 1.0}  # noqa: RUF012
    objectives = (
        Objective(
            name="r2",
            larger_is_better=True,
            worst=-1.0,
            best=1.0,
            during="validation_r2",
        ),
        Objective(name="rough", larger_is_better=False, worst=2.0, best=0.0),
    )
    usual_objectives = ("r2", "rough")
    weighted = ("loss", "weighted_loss")
    constraints = ("toy.smooth",)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        x = np.sort(rng.uniform(-2, 2, 64))
        y = np.sin(2 * x) + 0.2 * rng.standard_normal(64)
        self.x = torch.tensor(x[:, None], dtype=torch.float32)
        self.y = torch.tensor(y[:, None], dtype=torch.float32)

    @property
    def weights(self) -> tuple[Weight, ...]:
        return (SMOOTH, SHRINK, UNUSED) if self.dead else (SMOOTH, SHRINK)

    @property
    def choices(self) -> tuple[Choice, ...]:
        return (READOUT,) if self.choosing else ()

    @property
    def budget(self) -> dict[str, int]:
        return {"epochs": self.epochs}

    def effect(self, settings: Mapping[str, Setting]) -> NDArray[np.float64]:
        model = self._model(0)
        self._loss(model, settings).backward()
        rows = [
            one.grad.flatten() for one in model.parameters() if one.grad is not None
        ]
        judged = self._scores(model, 1, settings)["rough"] if self.choosing else 0.0
        return np.append(torch.cat(rows).double(), judged)

    def trial(
        self, settings: Mapping[str, Setting], seed: int, watch: Watch, folder: Path
    ) -> Outcome:
        self.before(settings, seed)
        self.trained.append((folder.name, seed))
        model = self._model(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
        for epoch in range(1, self.epochs + 1):
            for _ in range(20):
                loss = self._loss(model, settings)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            watch.metrics(
                {"validation_r2": self._scores(model, 1, settings)["r2"]}, epoch
            )
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            name: self._scores(model, part, settings)
            for part, name in ((1, "validation"), (2, "test"))
        }
        (folder / "done.json").write_text(json.dumps(record))
        return Outcome(
            metrics=record["validation"],
            weighted_loss=float(loss.detach()),
            vitals=(self._vital(settings),),
        )

    def held_out(
        self, settings: Mapping[str, Setting], seed: int, folder: Path
    ) -> dict[str, float]:
        found: dict[str, float] = json.loads((folder / "done.json").read_text())["test"]
        return found

    def bundle(
        self,
        settings: Mapping[str, Setting],
        trainings: Sequence[tuple[int, Path]],
        to: Path,
    ) -> None:
        to.mkdir(parents=True)
        (to / "card.json").write_text(json.dumps([seed for seed, _ in trainings]))

    def _vital(self, settings: Mapping[str, Setting]) -> Vital:
        smooth = float(settings["smooth"])
        red = smooth > self.red_above
        return Vital(
            name="toy.smooth",
            value=smooth,
            threshold=self.red_above,
            basis="judgement",
            level="red" if red else "green",
            sentence=f"smooth is {smooth:g}.",
        )

    def _model(self, seed: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1))

    def _loss(self, model: nn.Module, settings: Mapping[str, Setting]) -> Tensor:
        train = slice(0, None, 3)
        found = model(self.x[train])
        mse = (found - self.y[train]).square().mean()
        jumps = found.diff(dim=0).abs().mean()
        size = sum(one.square().mean() for one in model.parameters())
        return (
            float(settings["mse"]) * mse
            + float(settings["smooth"]) * jumps
            + float(settings["shrink"]) * size
        )

    @torch.no_grad()
    def _scores(
        self, model: nn.Module, part: int, settings: Mapping[str, Setting]
    ) -> dict[str, float]:
        at = slice(part, None, 3)
        found, truth = model(self.x[at]), self.y[at]
        errors = (found - truth).square().sum() / (truth - truth.mean()).square().sum()
        half = len(found) // 2
        told = {"all": found, "half": found[:half], "end": found[half:]}
        told = dict.fromkeys(told, found) if self.equal else told
        return {
            "r2": float(1 - errors),
            "rough": float(
                told[str(settings.get("readout", "all"))].diff(dim=0).abs().mean() * 10
            ),
        }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
