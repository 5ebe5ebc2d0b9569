"""A small family that really trains: a regression with a smoothness and a size penalty.

Two weights act, and a third one, `unused`, is searched by nothing in the loss where
`dead` is asked for. More smoothing costs accuracy, so that there is a front.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from normgate.engine.tunable import Objective, Outcome, Weight
from normgate.gate import Vital

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.engine.tunable import Watch

SMOOTH = Weight(name="smooth", low=1e-3, high=10.0, default=0.1, log=True)
SHRINK = Weight(name="shrink", low=0.0, high=1.0, default=0.01)
UNUSED = Weight(name="unused", low=0.1, high=1.0, default=0.5)
EPOCHS = 4


def nothing(slot: Mapping[str, float], seed: int) -> None:
    """Happens before a training."""


@dataclass
class ToyTunable:
    dead: bool = False
    before: Callable[[Mapping[str, float], int], None] = nothing
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
    def budget(self) -> dict[str, int]:
        return {"epochs": self.epochs}

    def effect(self, settings: Mapping[str, float]) -> NDArray[np.float64]:
        model = self._model(0)
        self._loss(model, settings).backward()
        rows = [
            one.grad.flatten() for one in model.parameters() if one.grad is not None
        ]
        return np.asarray(torch.cat(rows).double())

    def trial(
        self, settings: Mapping[str, float], seed: int, watch: Watch, folder: Path
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
            watch.metrics({"validation_r2": self._scores(model, 1)["r2"]}, epoch)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"validation": self._scores(model, 1), "test": self._scores(model, 2)}
        (folder / "done.json").write_text(json.dumps(record))
        return Outcome(
            metrics=record["validation"],
            weighted_loss=float(loss.detach()),
            vitals=(self._vital(settings),),
        )

    def held_out(
        self, settings: Mapping[str, float], seed: int, folder: Path
    ) -> dict[str, float]:
        found: dict[str, float] = json.loads((folder / "done.json").read_text())["test"]
        return found

    def bundle(
        self,
        settings: Mapping[str, float],
        trainings: Sequence[tuple[int, Path]],
        to: Path,
    ) -> None:
        to.mkdir(parents=True)
        (to / "card.json").write_text(json.dumps([seed for seed, _ in trainings]))

    def _vital(self, settings: Mapping[str, float]) -> Vital:
        red = settings["smooth"] > self.red_above
        return Vital(
            name="toy.smooth",
            value=settings["smooth"],
            threshold=self.red_above,
            basis="judgement",
            level="red" if red else "green",
            sentence=f"smooth is {settings['smooth']:g}.",
        )

    def _model(self, seed: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1))

    def _loss(self, model: nn.Module, settings: Mapping[str, float]) -> Tensor:
        train = slice(0, None, 3)
        found = model(self.x[train])
        mse = (found - self.y[train]).square().mean()
        jumps = found.diff(dim=0).abs().mean()
        size = sum(one.square().mean() for one in model.parameters())
        return (
            settings["mse"] * mse
            + settings["smooth"] * jumps
            + settings["shrink"] * size
        )

    @torch.no_grad()
    def _scores(self, model: nn.Module, part: int) -> dict[str, float]:
        at = slice(part, None, 3)
        found, truth = model(self.x[at]), self.y[at]
        errors = (found - truth).square().sum() / (truth - truth.mean()).square().sum()
        return {
            "r2": float(1 - errors),
            "rough": float(found.diff(dim=0).abs().mean() * 10),
        }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
