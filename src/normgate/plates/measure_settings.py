"""What to measure of a plate table, and what spec to make of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

Then = Literal["none", "imagenet", "zscore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSettings:
    """What to measure, and what spec to make of it."""

    percentiles: tuple[Decimal, Decimal] = (Decimal(1), Decimal(99))
    """Where intensities are clipped, 0 to 100."""
    then: Then = "imagenet"
    """After clipping: 0..1 (`none`), also ImageNet by marker, or mean 0 and std 1."""
    above: int | None = None
    """Only pixels above this count; None for all."""
    mask_files: bool = False
    """Only pixels inside the table's mask files count."""
    timepoints_ms: tuple[int, ...] = ()
    """Which timepoints count; empty for all. Two or more give a channel each."""
    markers: tuple[str, ...] = ()
    """Which markers, in the order of the spec; empty for the table's own."""
    labels: tuple[str, ...] = ()
    """Only rows of these labels count; empty for all."""
    split_groups: frozenset[str] = frozenset()
    """Only rows of these groups count, such as the training wells; empty for all."""
    workers: int = 1
    """Threads that read and count."""

    def __post_init__(self) -> None:
        """Refuse what can't be measured."""
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            msg = f"percentiles {low},{high} must rise within 0..100, such as 1,99"
            raise SettingsError(msg)
        if self.then not in get_args(Then):
            msg = f"then is {self.then!r}; expected {', '.join(get_args(Then))}"
            raise SettingsError(msg)
        if self.workers < 1:
            raise SettingsError(f"workers is {self.workers}; expected 1 or more")

    @property
    def restriction(self) -> str:
        """What counts, in words; empty for everything."""
        parts = [
            f"pixels above {self.above}" if self.above is not None else "",
            "pixels inside the mask files" if self.mask_files else "",
            f"timepoints {_joined(self.timepoints_ms)} ms"
            if self.timepoints_ms
            else "",
            f"labels {_joined(self.labels)}" if self.labels else "",
            f"{len(self.split_groups)} split groups {_digest(self.split_groups)}"
            if self.split_groups
            else "",
        ]
        return "; ".join(part for part in parts if part)


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
