"""One replicate of the IMC family as a task: reconstruct units through a latent.

Here on grids of nodes; `graph_task` says what is otherwise for cells.

Before the first step every weight of the loss must prove that it changes a gradient.
Axes: b batch, u units, c channels, h rows and w columns of nodes, d latent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from normgate.engine.member import Conclusion
from normgate.engine.task import Batch, Monitor, Split
from normgate.families.imc import symmetry
from normgate.families.imc.evaluate import Judge, Seen, look
from normgate.families.imc.figures import compared
from normgate.families.imc.liveness import refuse_dead_weights
from normgate.families.imc.losses import training_loss
from normgate.families.imc.model import Grid, ImcModel, build
from normgate.families.imc.vitals import imc_vitals, norm_vitals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.engine.split import Split as Parts
    from normgate.families.imc.settings import ImcSettings, LossSettings
    from normgate.families.imc.units import ImcUnits
    from normgate.gate import Vital

PICTURE = "reconstructions"
SHOWN = 6
"""Units of the pictures."""


class ImcTask:
    """Implements `normgate.engine.member.Replicate`.

    Args:
        name: What to call it in progress lines.
        units: All units, of every split.
        parts: Which of them train, validate and test.
        settings: Network and loss.
        batch_size: Units in one step.
        seed: Initial weights follow from it.
        cofactor: Of the evaluation space; None for values that are no counts.
        augment: Whether training units are turned and mirrored at random.

    Raises:
        SettingsError: A weight of the loss changes no gradient.
    """

    def __init__(
        self,
        *,
        name: str,
        units: ImcUnits,
        parts: Parts,
        settings: ImcSettings,
        batch_size: int,
        seed: int,
        cofactor: float | None,
        augment: bool,
    ) -> None:
        self.name = name
        self.units, self.parts = units, parts
        self.settings = settings
        self.batch_size = min(batch_size, len(parts.train))
        self.monitor = Monitor("r2_median", larger_is_better=True)
        self.judge = Judge(units, parts.train, cofactor)
        self._last: Seen | None = None
        self._looks = 0
        self._augment = augment
        self._identity = {
            "settings": asdict(settings),
            "seed": seed,
            "cofactor": cofactor,
            "augment": augment,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = self._built()
        self._refuse_dead_weights(seed)

    @property
    def identity(self) -> str:
        """A digest of units, split and settings."""
        parts = {key: value.tolist() for key, value in asdict(self.parts).items()}
        document = {"units": self.units.digest, "parts": parts, **self._identity}
        text = json.dumps(document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the training units; the rest waits for another epoch."""
        return len(self.parts.train) // self.batch_size

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Shuffled training units, and the noise of their latents."""
        train, size = self.parts.train, self.batch_size
        order = torch.randperm(len(train), generator=generator).numpy()
        for start in range(0, self.steps_per_epoch * size, size):
            at = train[order[start : start + size]]
            inputs = self._inputs(at, generator)
            shape = (size, self.settings.model.latent)
            yield {**inputs, "noise": torch.randn(shape, generator=generator)}

    def loss(self, batch: Batch, done: float) -> tuple[Tensor, Mapping[str, float]]:
        """See `losses.training_loss`."""
        return self._lost(self.settings.loss, batch, done)

    def evaluate(self, split: Split) -> dict[str, float]:
        """Metrics of a split, without probes."""
        at = getattr(self.parts, split)
        seen = self.look(at)
        if split == "validation":
            self._last, self._looks = seen, self._looks + 1
        return self.judge.scores(seen, at, self.settings.loss)

    def pictures(self, folder: Path) -> Mapping[str, Path]:
        """Units of the last validation, their reconstructions and errors.

        Of evaluations 1, 2, 4, 8 and so on: drawing takes longer than an epoch.
        """
        if self._last is None or self._looks & (self._looks - 1):
            return {}
        truth, found = self.shown(self._last, self.parts.validation)
        path = folder / f"{PICTURE}.png"
        compared(path, truth, found, self.units.spec.names)
        return {PICTURE: path}

    def look(self, at: NDArray[np.int64]) -> Seen:
        """What the model, as it is now, makes of units by number."""
        return look(self.model, self.units.images[at])

    def shown(
        self, seen: Seen, at: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Some units (6, c, h, w) and their reconstructions, in the judge's space."""
        some = np.linspace(0, len(at) - 1, SHOWN).astype(int)
        return self.judge.truth(at[some]), self.judge.restored(seen.images[some])

    def vitals(self) -> tuple[Vital, ...]:
        """Of the units after normalization, and of the test split."""
        return self._vitals("test")

    def alarms(self) -> tuple[Vital, ...]:
        """The vitals of the validation split, as the model is now."""
        return self._vitals("validation")

    def conclude(self) -> Conclusion:
        """Test the fitted model.

        `kept` has test_at (u,), the unit numbers of the test split, test_mu (u, d),
        their latents, and shown_truth and shown_found, as `shown` gives them.
        """
        test = self.parts.test
        seen = self.look(test)
        scores = self._scored(seen, test)
        truth, found = self.shown(seen, test)
        scores |= {
            f"r2.{name}": value
            for name, value in self.judge.channel_r2(seen, test).items()
        }
        return Conclusion(
            train_groups=self.train_groups,
            validation_groups=self.groups_of(self.parts.validation),
            test_groups=self.groups_of(test),
            metrics={f"test_{key}": value for key, value in scores.items()},
            kept={
                "test_at": torch.from_numpy(test),
                "test_mu": torch.from_numpy(seen.mu.astype(np.float32)),
                "shown_truth": torch.from_numpy(truth),
                "shown_found": torch.from_numpy(found),
            },
        )

    @cached_property
    def train_groups(self) -> tuple[str, ...]:
        """Slides or patients that the model was fitted on, sorted."""
        return self.groups_of(self.parts.train)

    def groups_of(self, at: NDArray[np.int64]) -> tuple[str, ...]:
        """Split groups of some units, sorted."""
        return tuple(str(name) for name in np.unique(self.units.groups[at]))

    def _scored(self, seen: Seen, at: NDArray[np.int64]) -> dict[str, float]:
        """Every metric, probes among them."""
        scores = self.judge.scores(seen, at, self.settings.loss)
        if self.units.labels:
            scores |= self.judge.probed(self.look(self.parts.train), seen, at)
        return scores

    def _vitals(self, split: Split) -> tuple[Vital, ...]:
        at = getattr(self.parts, split)
        # The check before the first step let no dead weight through.
        scores = {**self._scored(self.look(at), at), "dead_weights": 0.0}
        grids = self.units.joined is None
        return (
            *norm_vitals(self.units.spec.names, self.units.values(self.units.images)),
            *imc_vitals(scores, self.settings.model.logvar, grids=grids),
        )

    def _built(self) -> ImcModel:
        """The untrained network."""
        grid = Grid(channels=self.units.images.shape[1], side=self.units.side)
        return build(self.settings.model, grid)

    def _inputs(self, at: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Units by number, as the loss takes them."""
        units = torch.from_numpy(self.units.images[at])
        if self._augment:
            turns = torch.randint(symmetry.COUNT, (len(at),), generator=generator)
            units = symmetry.chosen(units, turns)
        return {"units": units}

    def _lost(
        self, weights: LossSettings, batch: Batch, done: float
    ) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of a batch under some weights, and its parts."""
        return training_loss(self.model, weights, batch, done)

    def _refuse_dead_weights(self, seed: int) -> None:
        """Hold each weight of the loss against one batch."""
        batch = next(self.batches(torch.Generator().manual_seed(seed)))

        def loss(weights: LossSettings) -> Tensor:
            return self._lost(weights, batch, 1.0)[0]

        refuse_dead_weights(self.model, self.settings.loss, loss)
