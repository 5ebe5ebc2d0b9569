"""One replicate of the plate family as a task: classify units by their well's class.

Class-weighted cross-entropy; augmentation by the eight symmetries of the square, and by
a change of intensity only where it was asked for, since brightness is what is measured.
Axes: n units, k classes, c channels, y, x.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from normgate.engine.member import Conclusion
from normgate.engine.task import Batch, Monitor, Split
from normgate.families.plate.metrics import (
    calibration_gain,
    fitted_temperature,
    scores,
)
from normgate.families.plate.model import build
from normgate.families.plate.vitals import unit_vitals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.engine.split import Split as Parts
    from normgate.families.plate.data import PlateUnits
    from normgate.families.plate.settings import ModelSettings
    from normgate.gate import Vital

EVALUATED_AT_ONCE = 256
"""Units in one forward pass of an evaluation."""


class PlateTask:
    """Implements `normgate.engine.member.Replicate`.

    Args:
        name: What to call it in progress lines.
        spec: What the units were normalized by.
        units: All units, of every split.
        parts: Which of them train, validate and test.
        model: The network's settings.
        classes: Class names in the order of the logits.
        batch_size: Units in one step.
        seed: Initial weights follow from it.
        aggregation: How units become wells where wells are judged.
    """

    def __init__(
        self,
        *,
        name: str,
        spec: Spec,
        units: PlateUnits,
        parts: Parts,
        model: ModelSettings,
        classes: tuple[str, ...],
        batch_size: int,
        seed: int,
        aggregation: str = "mean",
    ) -> None:
        self.name = name
        self.spec = spec
        self.units = units
        self.parts = parts
        self.classes = classes
        self.aggregation = aggregation
        self.batch_size = min(batch_size, len(parts.train))
        self.monitor = Monitor("nll", larger_is_better=False)
        self._settings = {
            "model": asdict(model),
            "seed": seed,
            "classes": classes,
            "aggregation": aggregation,
        }
        self._jitter = model.intensity_jitter
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model: nn.Module = build(model, units.images.shape[1], len(classes))
        self._weights = _class_weights(units.labels[parts.train], len(classes))

    @property
    def identity(self) -> str:
        """A digest of units, split and settings."""
        parts = {key: value.tolist() for key, value in asdict(self.parts).items()}
        document = {"units": self.units.digest, "parts": parts, **self._settings}
        text = json.dumps(document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the training units; the rest waits for another epoch."""
        return len(self.parts.train) // self.batch_size

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Shuffled training units, each turned or mirrored at random."""
        train = self.parts.train
        order = torch.randperm(len(train), generator=generator).numpy()
        size = self.batch_size
        for start in range(0, self.steps_per_epoch * size, size):
            at = train[order[start : start + size]]
            symmetry = torch.randint(8, (len(at),), generator=generator)
            units = turned(self._images(at), symmetry)
            yield {
                "units": jittered(units, self._jitter, generator),
                "labels": torch.from_numpy(self.units.labels[at]),
            }

    def loss(self, batch: Batch, done: float) -> tuple[Tensor, Mapping[str, float]]:
        """Class-weighted cross-entropy, the mean over the batch."""
        logits, labels = self.model(batch["units"]).float(), batch["labels"]
        each = functional.cross_entropy(logits, labels, reduction="none")
        loss = (each * self._weights.to(each.device)[labels]).mean()
        right = (logits.detach().argmax(dim=1) == labels).float().mean()
        return loss, {"accuracy": float(right)}

    def evaluate(self, split: Split) -> dict[str, float]:
        """Metrics of a split, uncalibrated, and its unweighted loss."""
        at = getattr(self.parts, split)
        return self.score(at, self.logits(at))

    def score(
        self, at: NDArray[np.int64], logits: NDArray[Any], temperature: float = 1.0
    ) -> dict[str, float]:
        """Metrics of some units, given their logits."""
        labels, groups = self.units.labels[at], self.units.groups[at]
        return scores(
            logits, labels, groups, self.classes, temperature, self.aggregation
        )

    def logits(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits (n, k) of units by number, as the model is now."""
        starts = range(0, len(at), EVALUATED_AT_ONCE)
        pieces = (self._images(at[n : n + EVALUATED_AT_ONCE]) for n in starts)
        return logits_of(self.model, pieces)

    def vitals(self) -> tuple[Vital, ...]:
        """Of the units after normalization, and of held-out predictions."""
        return self._vitals("test")

    def alarms(self) -> tuple[Vital, ...]:
        """The vitals of the validation split, as the model is now."""
        return self._vitals("validation")

    def conclude(self) -> Conclusion:
        """Calibrate on the validation split, and test.

        `kept` has test_at (n,), the unit numbers of the test split, and test_logits
        (n, k), before temperature.
        """
        validation, test = self.parts.validation, self.parts.test
        validation_logits = self.logits(validation).astype(np.float64)
        labels = self.units.labels[validation]
        temperature = fitted_temperature(validation_logits, labels)
        logits = self.logits(test)
        return Conclusion(
            train_groups=self.train_groups,
            validation_groups=self.groups_of(validation),
            test_groups=self.groups_of(test),
            temperature=temperature,
            metrics=self._metrics(validation_logits, logits, temperature),
            kept={
                "test_at": torch.from_numpy(test),
                "test_logits": torch.from_numpy(logits),
            },
        )

    def _metrics(
        self,
        validation_logits: NDArray[np.float64],
        test_logits: NDArray[np.float32],
        temperature: float,
    ) -> dict[str, float]:
        """Calibrated metrics of both held-out splits, and what calibration changed."""
        test = self.score(self.parts.test, test_logits, temperature)
        raw = self.score(self.parts.test, test_logits)
        at = self.parts.test
        gain = calibration_gain(
            test_logits, self.units.labels[at], self.units.groups[at], temperature
        )
        validation = self.score(self.parts.validation, validation_logits, temperature)
        return {
            **{f"test_{key}": value for key, value in test.items()},
            **{f"test_{key}_uncalibrated": raw[key] for key in ("nll", "ece")},
            **{f"test_{key}": value for key, value in gain.items()},
            **{f"validation_{key}": validation[key] for key in ("auroc", "nll")},
            "temperature": temperature,
        }

    def _vitals(self, split: Split) -> tuple[Vital, ...]:
        logits = torch.from_numpy(self.logits(getattr(self.parts, split)))
        positive = torch.softmax(logits, dim=1)[:, -1].tolist()
        return unit_vitals(self.spec, self.units, positive, self.classes[-1])

    def _images(self, at: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.units.images[at])

    @cached_property
    def train_groups(self) -> tuple[str, ...]:
        """Wells that the model was fitted on, sorted."""
        return self.groups_of(self.parts.train)

    def groups_of(self, at: NDArray[np.int64]) -> tuple[str, ...]:
        """Split groups of some units, sorted."""
        return tuple(str(name) for name in np.unique(self.units.groups[at]))


@torch.inference_mode()
def logits_of(model: nn.Module, pieces_ncyx: Iterable[Tensor]) -> NDArray[np.float32]:
    """Logits (n, k) of units that come in pieces, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    found = [model(piece.to(device)) for piece in pieces_ncyx]
    result: NDArray[np.float32] = torch.cat(found).float().cpu().numpy()
    return result


def turned(units_ncyx: Tensor, symmetry_n: Tensor) -> Tensor:
    """Apply one of the eight symmetries of the square to each unit.

    Args:
        units_ncyx: Square units.
        symmetry_n: 0 to 7: quarter turns, and from 4 on mirrored first.
    """
    result = units_ncyx.clone()
    for symmetry in range(1, 8):
        chosen = symmetry_n == symmetry
        if bool(chosen.any()):
            some = units_ncyx[chosen]
            some = some.flip(-1) if symmetry >= 4 else some
            result[chosen] = torch.rot90(some, symmetry % 4, dims=(-2, -1))
    return result


def jittered(units_ncyx: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Change each channel of each unit by a random gain and offset.

    Args:
        units_ncyx: Normalized units.
        largest: The gain lies within 1 - largest to 1 + largest, the offset within
            -largest to largest of the normalized scale; 0 changes nothing.
        generator: Where the random numbers come from; untouched at 0.
    """
    if largest == 0:
        return units_ncyx
    shape = (2, *units_ncyx.shape[:2], 1, 1)
    gain, offset = largest * (2 * torch.rand(shape, generator=generator) - 1)
    changed: Tensor = units_ncyx * (1 + gain) + offset
    return changed


def _class_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """Inverse shares, scaled so that the mean weight over the units is 1."""
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy((len(labels) / (classes * counts)).astype(np.float32))
