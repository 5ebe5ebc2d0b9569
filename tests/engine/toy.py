"""A small task: a line through noisy points, with dropout so that randomness matters.

Run as a script it trains into a folder and writes the final weights, for tests that
kill the process: `toy.py FOLDER EPOCHS [SECONDS PER STEP]`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from normgate.engine.loop import fit
from normgate.engine.settings import FitSettings
from normgate.engine.task import Batch, Monitor, Split
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from normgate.gate import Vital

UNITS, BATCH = 24, 8
MONITOR = Monitor("loss", larger_is_better=False)


@dataclass
class Toy:
    name: str = "toy"
    identity: str = "0" * 64
    monitor: Monitor = MONITOR
    steps_per_epoch: int = UNITS // BATCH
    before_step: Callable[[int], None] = lambda step: None
    evaluations: list[float] = field(default_factory=list)
    poison_at: int | None = None
    step: int = 0
    signs: tuple[Vital, ...] = ()

    def __post_init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Dropout(0.3)]
            self.model: nn.Module = nn.Sequential(*layers, nn.Linear(16, 1))
            self.x = torch.randn(UNITS, 5)
        self.y = self.x.sum(dim=1, keepdim=True)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(UNITS, generator=generator)
        for at in order.split(BATCH):
            yield {"x": self.x[at], "y": self.y[at]}

    def loss(self, batch: Batch, done: float) -> tuple[Tensor, Mapping[str, float]]:
        assert 0 <= done < 1
        self.before_step(self.step)
        self.step += 1
        loss = (self.model(batch["x"]) - batch["y"]).square().mean()
        if self.step == self.poison_at:
            loss = loss * float("nan")
        return loss, {"half": float(loss.detach()) / 2}

    def evaluate(self, split: Split) -> dict[str, float]:
        if self.evaluations:
            return {"loss": self.evaluations.pop(0)}
        with torch.no_grad():
            return {"loss": float((self.model(self.x) - self.y).square().mean())}

    def vitals(self) -> tuple[Vital, ...]:
        return ()

    def alarms(self) -> tuple[Vital, ...]:
        return self.signs


def settings(epochs: int = 6, **changed: object) -> FitSettings:
    chosen: dict[str, object] = {"epochs": epochs, "seed": 3, "lr": 0.05}
    return FitSettings(**({"device": "cpu"} | chosen | changed))  # type: ignore[arg-type]


def weights(task: Toy) -> list[Tensor]:
    return [value.clone() for value in task.model.state_dict().values()]


def main(folder: str, epochs: str, seconds: str = "0") -> None:
    task = Toy(before_step=lambda step: time.sleep(float(seconds)))
    fit(task, settings(int(epochs)), NullTracker(), Path(folder))
    torch.save(weights(task), Path(folder) / "final.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
