"""One replicate of the fusion family as a task: fuse patches of MRI and CT.

Noise levels and noise come from the generator of the epoch; evaluations draw theirs
from the patches themselves, so that they are the same each time.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.engine.member import Conclusion
from normgate.engine.task import Batch, Monitor, Split
from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.evaluation import (
    Evaluation,
    evaluate,
    misregistered_difference,
)
from normgate.families.fusion.figures import overview
from normgate.families.fusion.losses import Spans, training_loss
from normgate.families.fusion.metrics import measured_span
from normgate.families.fusion.model import FusionModel, build
from normgate.families.fusion.sampling import oracle_share
from normgate.families.fusion.settings import TaskSettings
from normgate.families.fusion.vitals import fusion_vitals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from normgate.engine.split import Split as Parts
    from normgate.families.fusion.data import FusionUnits
    from normgate.families.fusion.settings import (
        DiffusionSettings,
        LossSettings,
        ModelSettings,
    )
    from normgate.gate import Vital

PICTURE = "fusion"
_SPAN_VALUES = 1 << 22
_MASKS = ("brain", "bone", "lesion")


class FusionTask:
    """Implements `normgate.engine.member.Replicate`.

    Args:
        name: What to call it in progress lines.
        units: All patches, of every split.
        parts: Which of them train, validate and test.
        model: The network's settings.
        diffusion: What it predicts and how images are drawn.
        loss: What is minimized.
        batch_size: Patches in one step.
        seed: Initial weights follow from it.
        settings: How it goes through the patches.
    """

    def __init__(
        self,
        *,
        name: str,
        units: FusionUnits,
        parts: Parts,
        model: ModelSettings,
        diffusion: DiffusionSettings,
        loss: LossSettings,
        batch_size: int,
        seed: int,
        settings: TaskSettings | None = None,
    ) -> None:
        self.name = name
        self.units = units
        self.parts = parts
        self.loss_settings = loss
        self.settings = settings or TaskSettings()
        self.batch_size = min(batch_size, len(parts.train))
        self.monitor = Monitor("ncc", larger_is_better=True)
        self.diffusion = Diffusion(diffusion)
        self.spans = _spans(units, parts.train)
        self._chosen = {
            "model": asdict(model),
            "diffusion": asdict(diffusion),
            "loss": asdict(loss),
            "task": asdict(self.settings),
            "seed": seed,
        }
        self._last: Evaluation | None = None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model: FusionModel = build(model, units.images.shape[1])

    @property
    def identity(self) -> str:
        """A digest of patches, split and settings."""
        parts = {key: value.tolist() for key, value in asdict(self.parts).items()}
        document = {"units": self.units.digest, "parts": parts, **self._chosen}
        text = json.dumps(document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of every pass over the training patches."""
        return len(self.parts.train) * self.settings.passes // self.batch_size

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Shuffled patches of every pass, each with its noise and noise level."""
        train = self.parts.train
        orders = [
            train[torch.randperm(len(train), generator=generator).numpy()]
            for _ in range(self.settings.passes)
        ]
        order, size = np.concatenate(orders), self.batch_size
        for start in range(0, self.steps_per_epoch * size, size):
            yield self._batch(order[start : start + size], generator)

    def _batch(self, at: NDArray[np.int64], generator: torch.Generator) -> Batch:
        condition = torch.from_numpy(np.array(self.units.images[at]))
        masks = torch.from_numpy(np.array(self.units.masks[at]))
        if self.settings.mirror:
            turned = torch.rand(len(at), generator=generator) < 0.5
            condition[turned] = condition[turned].flip(-1)
            masks[turned] = masks[turned].flip(-1)
        noise = torch.randn(condition[:, :1].shape, generator=generator)
        known = torch.from_numpy(self.units.lesion_known[at]).float()
        return {
            "condition": condition,
            "t": self.diffusion.levels(len(at), generator),
            "noise": noise,
            "lesion_known": known,
            **{name: masks[:, m : m + 1] for m, name in enumerate(_MASKS)},
        }

    def loss(self, batch: Batch, done: float) -> tuple[Tensor, Mapping[str, float]]:
        """See `losses.training_loss`."""
        return training_loss(
            self.model, self.diffusion, self.loss_settings, self.spans, batch
        )

    def evaluate(self, split: Split) -> dict[str, float]:
        """Every metric of a split; see `evaluation.evaluate`."""
        found = self._evaluated(getattr(self.parts, split))
        if split == "validation":
            self._last = found
        return found.metrics

    def pictures(self, folder: Path) -> Mapping[str, Path]:
        """The last validation in one picture: MRI, CT, fused image, error, regions."""
        if self._last is None:
            return {}
        path = folder / f"{PICTURE}.png"
        overview(path, self._last)
        return {PICTURE: path}

    def vitals(self) -> tuple[Vital, ...]:
        """Of the normalization, and of the test split as it is fused now."""
        return self._vitals("test")

    def alarms(self) -> tuple[Vital, ...]:
        """The vitals of the validation split, as the model is now."""
        return self._vitals("validation")

    def conclude(self) -> Conclusion:
        """Test the fitted model."""
        found = {split: self.evaluate(split) for split in _HELD_OUT}
        return Conclusion(
            train_groups=self._groups("train"),
            validation_groups=self._groups("validation"),
            test_groups=self._groups("test"),
            metrics={
                f"{split}_{key}": value
                for split, metrics in found.items()
                for key, value in metrics.items()
                if split == "test" or key in _HEADLINES
            },
        )

    def _vitals(self, split: Split) -> tuple[Vital, ...]:
        at = getattr(self.parts, split)
        metrics = dict(self._evaluated(at).metrics)
        metrics |= self._trained()
        if not self.diffusion.regression:
            metrics["oracle_share"] = oracle_share(self.diffusion.settings)
        metrics["copy_difference"] = misregistered_difference(
            self.model, self.diffusion, self.units, at
        )
        judged = fusion_vitals(metrics, epoch=_ALL_EPOCHS)
        return (*self.units.audit.vitals, *judged)

    def _evaluated(self, at: NDArray[np.int64]) -> Evaluation:
        return evaluate(self.model, self.diffusion, self.units, at, self.spans)

    @torch.no_grad()
    def _trained(self) -> dict[str, float]:
        """Loss and zero gradient over some training patches, noise as always."""
        generator = torch.Generator().manual_seed(0)
        batch = self._batch(self.parts.train[: self.batch_size], generator)
        device = next(self.model.parameters()).device
        moved = {key: value.to(device) for key, value in batch.items()}
        loss, parts = self.loss(moved, 1.0)
        return {"loss": float(loss), "zero_gradient": parts["zero_gradient"]}

    def _groups(self, split: Split) -> tuple[str, ...]:
        groups = self.units.groups[getattr(self.parts, split)]
        return tuple(str(name) for name in np.unique(groups))


_HELD_OUT: tuple[Split, ...] = ("validation", "test")
_HEADLINES = ("bone_psnr_hu", "bone_ncc", "brain_ncc", "lesion_dice")
_ALL_EPOCHS = 1_000_000
"""A training that is judged is judged as a whole one."""


def _spans(units: FusionUnits, train: NDArray[np.int64]) -> Spans:
    """Where the references' values lie over the training patches."""
    voxels = math.prod(units.images.shape[2:])
    step = max(1, len(train) * voxels // _SPAN_VALUES)

    def values(channel: int) -> NDArray[Any]:
        return np.array(units.images[train, channel]).reshape(-1)[::step]

    return Spans(mri=measured_span(values(0)), ct=measured_span(values(1)))
