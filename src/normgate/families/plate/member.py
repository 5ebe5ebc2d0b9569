"""One replicate from first step to result: fitted, calibrated, tested, kept on disk.

The result is one file that is written last, so that a rerun skips a finished replicate
and takes up an unfinished one at its checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from normgate.contract import write_atomic
from normgate.engine.card import MemberCard, parse_member
from normgate.engine.loop import fit, fit_identity
from normgate.engine.weights import weights_bytes
from normgate.families.plate.metrics import fitted_temperature
from normgate.families.plate.split import split_of
from normgate.families.plate.task import PlateTask
from normgate.gate.vitals import vital_from_record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from normgate.contract import Spec
    from normgate.engine.settings import FitSettings
    from normgate.families.plate.data import PlateUnits
    from normgate.families.plate.settings import ModelSettings
    from normgate.gate import Vital
    from normgate.tracker import Tracker

NAME = "member.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the replicates of one model share."""

    name: str
    """The registered model, as `rescue-0ms`."""
    spec: Spec
    units: PlateUnits
    classes: tuple[str, ...]
    fold: NDArray[np.int64]
    """The fold of each unit."""
    folds: int
    model: ModelSettings

    def task(self, replicate: int, fit_settings: FitSettings) -> PlateTask:
        """One replicate as a task."""
        return PlateTask(
            name=f"{self.name} replicate {replicate + 1}",
            spec=self.spec,
            units=self.units,
            parts=split_of(self.fold, self.folds, replicate),
            model=self.model,
            classes=self.classes,
            batch_size=fit_settings.batch_size,
            seed=fit_settings.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A fitted replicate."""

    card: MemberCard
    state: dict[str, Tensor]
    """The weights."""
    vitals: tuple[Vital, ...]
    history: tuple[dict[str, float], ...]
    """The metrics of each epoch."""
    test_at: NDArray[np.int64]
    """Unit numbers of the test split."""
    test_logits: NDArray[np.float32]
    """Their logits, before temperature, (n, k)."""


def train_member(
    task: PlateTask, replicate: int, settings: FitSettings, tracker: Tracker, to: Path
) -> Member:
    """Fit a replicate, or find it fitted.

    Args:
        task: The replicate's.
        replicate: Its number, from 0.
        settings: How to fit; the seed is the replicate's own.
        tracker: Told of each epoch.
        to: The replicate's own folder.

    Raises:
        DataError: The loss is no number any more.
        SettingsError: The folder holds another training.
    """
    identity = fit_identity(task, settings)
    found = _read(to / NAME, identity)
    if found is not None:
        for epoch, metrics in enumerate(found.history, start=1):
            tracker.metrics(metrics, step=epoch)
        return found
    fitted = fit(task, settings, tracker, to)
    validation, test = task.parts.validation, task.parts.test
    validation_logits = task.logits(validation).astype(np.float64)
    temperature = fitted_temperature(validation_logits, task.units.labels[validation])
    logits = task.logits(test)
    member = Member(
        card=MemberCard(
            replicate=replicate,
            seed=settings.seed,
            train_groups=task.groups_of(task.parts.train),
            validation_groups=task.groups_of(validation),
            test_groups=task.groups_of(test),
            temperature=temperature,
            metrics=_metrics(task, validation_logits, logits, temperature),
        ),
        state={key: x.detach().cpu() for key, x in task.model.state_dict().items()},
        vitals=task.vitals(),
        history=fitted.history,
        test_at=test,
        test_logits=logits,
    )
    _write(to / NAME, identity, member)
    return member


def _metrics(
    task: PlateTask,
    validation_logits: NDArray[np.float64],
    test_logits: NDArray[np.float32],
    temperature: float,
) -> dict[str, float]:
    """Calibrated metrics of both held-out splits, and the raw calibration of test."""
    test = task.score(task.parts.test, test_logits, temperature)
    raw = task.score(task.parts.test, test_logits)
    validation = task.score(task.parts.validation, validation_logits, temperature)
    return {
        **{f"test_{key}": value for key, value in test.items()},
        **{f"test_{key}_uncalibrated": raw[key] for key in ("nll", "ece")},
        **{f"validation_{key}": validation[key] for key in ("auroc", "nll")},
        "temperature": temperature,
    }


def _write(path: Path, identity: str, member: Member) -> None:
    tensors = {f"model.{key}": value for key, value in member.state.items()}
    tensors["test_at"] = torch.from_numpy(member.test_at)
    tensors["test_logits"] = torch.from_numpy(member.test_logits)
    about = {
        "identity": identity,
        "card": json.dumps(asdict(member.card)),
        "vitals": json.dumps([vital.record() for vital in member.vitals]),
        "history": json.dumps(member.history),
    }
    write_atomic(path, weights_bytes(tensors, about))


def _read(path: Path, identity: str) -> Member | None:
    """A finished replicate; None where it is not finished, or is another's."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if about.get("identity") != identity:
        return None
    return Member(
        card=parse_member(json.loads(about["card"])),
        state={
            key.removeprefix("model."): value
            for key, value in tensors.items()
            if key.startswith("model.")
        },
        vitals=tuple(map(vital_from_record, json.loads(about["vitals"]))),
        history=tuple(json.loads(about["history"])),
        test_at=tensors["test_at"].numpy(),
        test_logits=tensors["test_logits"].numpy(),
    )
