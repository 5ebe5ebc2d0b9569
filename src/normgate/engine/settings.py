"""What a user chooses about fitting, whatever the family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from normgate.errors import SettingsError

Keep = Literal["last", "best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """One training: AdamW under a one-cycle schedule."""

    epochs: int
    """Passes over the training set, at least 1."""
    seed: int
    """Initial weights, order of the units, augmentation and dropout follow from it."""
    lr: float = 3e-3
    """The largest learning rate, in the middle of the cycle, per step."""
    weight_decay: float = 1e-2
    """Decoupled weight decay, per step and learning rate."""
    batch_size: int = 32
    """Units in one step."""
    patience: int | None = None
    """Epochs without a better monitored metric before it stops; None never stops."""
    stop_on_red: int | None = None
    """Epoch from which a red vital of the validation split ends the training; None
    never does. The red vital stays on record, so the gate refuses what was trained."""
    keep: Keep = "last"
    """Which weights stay: of the last epoch, or of the best monitored metric."""
    amp: bool = True
    """Mixed precision, on CUDA only."""
    device: str = "auto"
    """`auto` (CUDA where it is), `cpu`, `cuda` or `cuda:<number>`."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        _whole("epochs", self.epochs, 1, 1_000_000)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("batch_size", self.batch_size, 2, 1_000_000)
        for name in ("patience", "stop_on_red"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1, 1_000_000)
        for name, value, least in (
            ("lr", self.lr, math.ulp(0.0)),
            ("weight_decay", self.weight_decay, 0.0),
        ):
            if not least <= value <= 100:
                above = "above 0" if least else "from 0"
                raise SettingsError(f"{name} is {value}, expected {above} up to 100")
        if self.keep not in get_args(Keep):
            raise SettingsError(f"keep is {self.keep!r}, expected last or best")


def _whole(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SettingsError(f"{name} is {value!r}, expected a number {low} to {high}")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not known.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
    """
    if value not in known:
        raise SettingsError(f"{name} is {value!r}, expected {', '.join(known)}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside its range, NaN too.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
    """
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}, expected {low:g} to {high:g}")
