"""What a user chooses about a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE = 200
"""Rows that are looked at, unless another number is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """How much is looked at, and what is known of the split."""

    sample: int | None = SAMPLE
    """Rows of the table, spread over wells; None for all."""
    workers: int = 2
    """Threads that read."""
    classes: Mapping[tuple[str, str], str] | None = None
    """What a training learns of each well, by plate and well; None: the labels."""
    training: frozenset[str] = frozenset()
    """The split groups (plates) or cases (volumes) for training; empty: not known."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            SettingsError: With the setting, what it is, and its range.
        """
        if self.sample is not None and self.sample < 1:
            raise SettingsError(f"sample is {self.sample}; expected 1 or more, or all")
        if self.workers < 1:
            raise SettingsError(f"workers is {self.workers}; expected 1 or more")


def sample_size(text: str) -> int | None:
    """How many rows, from `200` or `all`; None for all.

    Raises:
        SettingsError: It is neither.
    """
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"sample is {text!r}; expected a number of rows, or all")
    return int(text)
