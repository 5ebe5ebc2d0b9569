"""One arm of the incident's replay: simulated units in, metrics and vitals out.

Every arm of a seed sees the same units; only its normalization, network and loss are
its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import Channel, Mask, Spec, Standardize, StandardizeSample
from normgate.contract.steps import exact
from normgate.engine.loop import fit
from normgate.engine.settings import FitSettings
from normgate.families.imc.arms import ARMS
from normgate.families.imc.space import sample_statistics
from normgate.families.imc.task import ImcTask
from normgate.families.imc.units import ImcUnits
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract.steps import Step
    from normgate.engine.split import Split
    from normgate.families.imc.arms import ArmNormalization
    from normgate.gate import Vital
    from normgate.tracker import Tracker

LR = 3e-3
BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Simulated units of one seed, before any normalization."""

    raw: NDArray[np.float32]
    """(u, c, h, w)."""
    clean: NDArray[np.float32]
    """The same without noise."""
    classes: NDArray[np.str_]
    density: NDArray[np.float64]
    parts: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What one arm came to under one seed."""

    metrics: Mapping[str, float]
    vitals: tuple[Vital, ...]
    epochs: int
    task: ImcTask
    """Fitted, for pictures."""


def train_arm(
    arm: str, seed: int, drawn: Drawn, steps: int, tracker: Tracker, folder: Path
) -> Replayed:
    """Train one arm under one seed, or take it up, and score its test split.

    Args:
        arm: A key of `arms.ARMS`.
        seed: Of initial weights, order and noise.
        drawn: The seed's units.
        steps: Of the training, rounded to whole epochs.
        tracker: Told of each epoch.
        folder: The arm's and seed's own, for the checkpoint.
    """
    task = task_of(arm, seed, drawn)
    epochs = max(1, round(steps / task.steps_per_epoch))
    settings = FitSettings(
        epochs=epochs, seed=seed, lr=LR, batch_size=BATCH, device="cpu"
    )
    fitted = fit(task, settings, tracker, folder)
    found = task.conclude().metrics
    return Replayed(
        metrics={key.removeprefix("test_"): value for key, value in found.items()},
        vitals=task.vitals(),
        epochs=fitted.epochs,
        task=task,
    )


def task_of(arm: str, seed: int, drawn: Drawn) -> ImcTask:
    """One arm as a task."""
    chosen = ARMS[arm]
    return ImcTask(
        name=f"{arm} seed {seed}",
        units=normalized(drawn, chosen.normalization),
        parts=drawn.parts,
        settings=chosen.settings,
        batch_size=BATCH,
        seed=seed,
        cofactor=None,
        augment=chosen.turned,
    )


def normalized(drawn: Drawn, normalization: ArmNormalization) -> ImcUnits:
    """Units under an arm's normalization, by the spec and code that any training has.

    Constants of the data set are those of the training split.
    """
    spec = arm_spec(drawn.raw[drawn.parts.train], normalization)
    normalizer = Normalizer(spec)
    total = hashlib.sha256(json.dumps(asdict(drawn.parts), default=_plain).encode())
    total.update(np.ascontiguousarray(drawn.raw).tobytes())
    total.update(normalization.encode())
    names = np.array([f"unit-{number}" for number in range(len(drawn.raw))])
    return ImcUnits(
        spec=spec,
        raw=drawn.raw,
        images=np.stack([normalizer(unit) for unit in drawn.raw]),
        measured=np.stack([sample_statistics(spec, list(unit)) for unit in drawn.raw]),
        groups=names,
        names=names,
        digest=total.hexdigest(),
        labels={"class": drawn.classes, "density": drawn.density},
        clean=drawn.clean,
    )


def arm_spec(raw_uchw: NDArray[np.float32], normalization: ArmNormalization) -> Spec:
    """The spec of an arm, its constants measured on units (u, c, h, w)."""
    every = raw_uchw.astype(np.float64)
    means, stds = every.mean(axis=(0, 2, 3)), every.std(axis=(0, 2, 3))
    if normalization == "global_z":
        means[:], stds[:] = every.mean(), every.std()
    return Spec(
        channels=tuple(
            Channel(
                name=f"E{c + 1:04d}",
                input="float32",
                steps=_steps(normalization, float(means[c]), float(stds[c])),
            )
            for c in range(len(means))
        )
    )


def _steps(
    normalization: ArmNormalization, mean: float, std: float
) -> tuple[Step, ...]:
    match normalization:
        case "none":
            return ()
        case "dataset_z" | "global_z":
            return (Standardize(mean=exact(mean), std=exact(std)),)
        case "image_z":
            return (
                StandardizeSample(
                    scope="channel",
                    fit_mask=Mask(),
                    apply_mask=Mask(),
                    outside="keep",
                    eps=Decimal(0),
                    eps_placement="add",
                    degenerate="raise",
                    ddof=1,
                ),
            )


def _plain(values: NDArray[np.int64]) -> list[int]:
    found: list[int] = values.tolist()
    return found
