"""Checkpoints: all that a training needs to go on as if it had never stopped.

One file, written whole or not at all, and read with `weights_only`, so that nothing in
it can run code.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from normgate.contract import short_digest, write_atomic
from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "normgate.checkpoint/1"
NAME = "checkpoint.pt"

State = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Checkpoint:
    """The state at the end of an epoch."""

    identity: str
    """The task and settings it belongs to."""
    epoch: int
    """Epochs that are done."""
    finished: bool
    """Nothing is left to do."""
    model: State
    optimizer: State
    schedule: State
    scaler: State
    random: State
    """Every random state, as `device.random_states` gives them."""
    best: State = field(default_factory=dict)
    """`epoch`, `value` and `model` of the best monitored metric so far."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The metrics of each epoch."""


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before."""
    data = io.BytesIO()
    shallow = {name: getattr(checkpoint, name) for name in _NAMES}
    torch.save({"format": FORMAT, **shallow}, data)
    write_atomic(folder / NAME, data.getvalue())


def load(folder: Path, identity: str) -> Checkpoint | None:
    """Read the checkpoint of a training; None where there is none.

    Args:
        folder: Where the training keeps it.
        identity: The training's own.

    Raises:
        DataError: The file is not a checkpoint.
        SettingsError: It is of a training with other data or settings.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
        if document.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        found = Checkpoint(**document)
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise DataError(
            f"{path} can't be read as a checkpoint ({error}); remove it to begin again"
        ) from error
    if found.identity != identity:
        raise SettingsError(
            f"{path} is of another training ({short_digest(found.identity)}, expected "
            f"{short_digest(identity)}): data or settings differ; name another folder"
        )
    return found


_NAMES = tuple(Checkpoint.__dataclass_fields__)
