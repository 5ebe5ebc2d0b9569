"""The port that a family implements, so that `loop.fit` can train it.

A task owns its model and its data; the loop owns optimizer, schedule, checkpoints and
random states. Everything random in a task must come from the generator that it is
given, or from torch's global state, for both are kept in checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from torch import nn

    from normgate.gate import Vital

Batch = Mapping[str, Tensor]
"""Tensors by name, each with units on its first axis; the loop moves them."""
Split = Literal["train", "validation", "test"]


class Monitor(NamedTuple):
    """The validation metric that chooses epochs, where that is asked."""

    metric: str
    """A key of what `evaluate("validation")` gives."""
    larger_is_better: bool


class Task(Protocol):
    """One training of one family."""

    @property
    def name(self) -> str:
        """What to call it in progress lines."""

    @property
    def identity(self) -> str:
        """A digest of data, split and settings: a checkpoint fits only its own."""

    @property
    def model(self) -> nn.Module:
        """What is fitted; all that must survive a kill is in its state."""

    @property
    def monitor(self) -> Monitor:
        """What early stopping looks at."""

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one epoch gives, at least 1."""

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch, on CPU; order and augmentation by the generator."""

    def loss(self, batch: Batch, done: float) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of a batch and its parts.

        Args:
            batch: On the model's device.
            done: Share of all steps that is done, 0 to 1, for warm-ups.

        Returns:
            A scalar to minimize, and its parts by name, for the record.
        """

    def evaluate(self, split: Split) -> dict[str, float]:
        """Metrics of a split, in evaluation mode; the same each time it is asked."""

    def vitals(self) -> tuple[Vital, ...]:
        """Signs of a dead or lying run, once it is fitted."""

    def alarms(self) -> tuple[Vital, ...]:
        """Vitals of the validation split, as the model is now."""


@runtime_checkable
class Pictured(Protocol):
    """A task that draws what each evaluation saw."""

    def pictures(self, folder: Path) -> Mapping[str, Path]:
        """Draw the last evaluation of the validation split: PNG files by key."""
