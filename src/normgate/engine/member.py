"""One replicate from first step to result: fitted, tested, kept on disk.

The result is one file that is written last, so that a rerun skips a finished replicate
and takes up an unfinished one at its checkpoint. What a family makes of a fitted task
(calibration, metrics, predictions to keep) is its `conclude`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

from safetensors import SafetensorError, safe_open

from normgate.contract import write_atomic
from normgate.engine.card import MemberCard, parse_member
from normgate.engine.loop import fit, fit_identity
from normgate.engine.task import Task
from normgate.engine.weights import weights_bytes
from normgate.gate.vitals import vital_from_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from normgate.engine.settings import FitSettings
    from normgate.gate import Vital
    from normgate.tracker import Tracker

NAME = "member.safetensors"
FORMAT = "normgate.replicate/2"
_MODEL, _KEPT = "model.", "kept."


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What a family says of a fitted replicate."""

    train_groups: tuple[str, ...]
    """As in `MemberCard`."""
    validation_groups: tuple[str, ...]
    test_groups: tuple[str, ...]
    metrics: Mapping[str, float]
    """Headline figures, as `test_auroc`."""
    temperature: float = 1.0
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    """What its bundle or pictures need of the held-out data, by name."""


class Replicate(Task, Protocol):
    """A task that can say what it came to."""

    def conclude(self) -> Conclusion:
        """Calibrate and test the fitted model; the same each time it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A fitted replicate."""

    card: MemberCard
    state: dict[str, Tensor]
    """The weights."""
    vitals: tuple[Vital, ...]
    history: tuple[dict[str, float], ...]
    """The metrics of each epoch."""
    kept: dict[str, Tensor]
    """As in `Conclusion`."""


def train_member(
    task: Replicate, replicate: int, settings: FitSettings, tracker: Tracker, to: Path
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
    concluded = task.conclude()
    member = Member(
        card=MemberCard(
            replicate=replicate,
            seed=settings.seed,
            train_groups=concluded.train_groups,
            validation_groups=concluded.validation_groups,
            test_groups=concluded.test_groups,
            temperature=concluded.temperature,
            metrics=concluded.metrics,
        ),
        state={key: x.detach().cpu() for key, x in task.model.state_dict().items()},
        vitals=task.vitals(),
        history=fitted.history,
        kept={key: x.detach().cpu() for key, x in concluded.kept.items()},
    )
    _write(to / NAME, identity, member)
    return member


def _write(path: Path, identity: str, member: Member) -> None:
    tensors = {f"{_MODEL}{key}": value for key, value in member.state.items()}
    tensors |= {f"{_KEPT}{key}": value for key, value in member.kept.items()}
    about = {
        "format": FORMAT,
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
    if (about.get("format"), about.get("identity")) != (FORMAT, identity):
        return None
    return Member(
        card=parse_member(json.loads(about["card"])),
        state=_named(tensors, _MODEL),
        vitals=tuple(map(vital_from_record, json.loads(about["vitals"]))),
        history=tuple(json.loads(about["history"])),
        kept=_named(tensors, _KEPT),
    )


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in tensors.items()
        if key.startswith(prefix)
    }
