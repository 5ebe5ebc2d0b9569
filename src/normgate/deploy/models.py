"""A model as a deployment uses it: how it reads, what it computes, what stamps it.

Axes: n units, r replicates, k classes, c channels, y rows, x columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from normgate.contract import channel_digest
from normgate.plates.predictions import ShardMeta

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from normgate.plates.load import Loader


class Promoted(Protocol):
    """A promoted version, resolved from its alias to a folder on this machine."""

    @property
    def name(self) -> str:
        """The registered model."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""

    @property
    def manifest_digest(self) -> str:
        """What the registry recorded of the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One replicate."""

    replicate: int
    temperature: float
    """Divides the logits before softmax."""
    seen: frozenset[str]
    """Split groups of its training and validation."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """One verified model, ready to predict."""

    name: str
    version: str
    loader: Loader
    members: tuple[Member, ...]
    classes: tuple[str, ...]
    """In the order of the logits."""
    positive: str
    spec_digest: str
    manifest_digest: str
    device: str
    """`cpu` or `cuda`."""
    forward: Callable[[Tensor], Tensor]
    """Float32 (n, c, y, x) on the CPU to logits (r, n, k), perhaps on a device."""
    aggregation: str = "mean"
    """How units became wells where the training judged wells."""

    @property
    def meta(self) -> ShardMeta:
        """What a shard says of itself besides its rows."""
        return ShardMeta(
            classes=self.classes,
            positive=self.positive,
            temperatures={m.replicate: m.temperature for m in self.members},
            channels={c.name: channel_digest(c) for c in self.loader.spec.channels},
            aggregation=self.aggregation,
        )
