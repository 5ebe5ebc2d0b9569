"""What was seen of a plate table: facts alone, for the rules to judge.

A row is one site of a well at one timepoint, with a picture for each marker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.contract import Channel, Provenance
    from normgate.plates.inspection import Finding as Trap
    from normgate.transform.distribution import Distribution


class Place(NamedTuple):
    """Where a row was taken, and what it counts as."""

    plate: str
    well: str
    site: str
    timepoint_ms: int
    label: str
    """Empty where it has none."""
    group: str
    """Rows of one group are never split between training and test."""

    def __str__(self) -> str:
        return (
            f"plate {self.plate} well {self.well} site {self.site} at "
            f"{self.timepoint_ms} ms"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """One picture."""

    marker: str
    place: Place
    path: str
    dtype: str
    mean: float
    std: float
    p1: float
    p99: float
    digest: str
    """SHA-256 of type, shape and pixels, whatever the file's compression."""
    traps: tuple[Trap, ...]
    """What its values give away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """One channel of the spec, or one marker where there is no spec."""

    name: str
    marker: str
    channel: Channel | None
    before: Distribution | None
    """Raw counts; None where no picture of it could be read."""
    after: Distribution | None
    """Normalized; None without a spec, or where the type is not the spec's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateFacts:
    """One plate table, as far as it was looked at."""

    channels: tuple[ChannelFacts, ...]
    pictures: tuple[PictureFacts, ...]
    """Of the sample, in the table's order."""
    alike: Mapping[tuple[str, str], tuple[float, ...]]
    """Pearson's r of two markers' pixels, for each row of the sample."""
    places: tuple[Place, ...]
    """Of the whole table."""
    files: Mapping[str, tuple[tuple[Place, str], ...]]
    """Of the whole table: each file that several rows or markers name, and which."""
    missing: tuple[str, ...] = ()
    """Channels of the spec that the table has no picture of."""
    provenance: Provenance | None = None
    table_digest: str = ""
    """SHA-256 of the table's file."""
    training: frozenset[str] = frozenset()
    """The split groups for training; empty where that is not known."""
    training_statement: str = field(default="")
    """How a provenance tells of exactly those groups."""
