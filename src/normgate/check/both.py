"""The same data under two specs: how far apart what a model would see lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.check.plates import assembled, collected
from normgate.contract import short_digest, spec_digest
from normgate.errors import DataError
from normgate.transform.compare import compare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from normgate.check.settings import CheckSettings
    from normgate.contract import Channel, Spec
    from normgate.transform.distribution import Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class BothChannel:
    """One channel's normalized intensities under each spec."""

    name: str
    same: bool
    """Whether the digests are equal."""
    first: Distribution | None
    """None where that spec has not the channel, or can't be applied to its type."""
    second: Distribution | None

    @property
    def moved(self) -> float | None:
        """How far the mean moves, in standard deviations under the first spec."""
        if self.first is None or self.second is None or not self.first.std > 0:
            return None
        return (self.second.mean - self.first.mean) / self.first.std

    def sentence(self) -> str:
        """In words."""
        if self.same:
            return f"Channel {self.name} is the same under both."
        ends = (self.first, self.second)
        told = [
            "can't be normalized"
            if one is None
            else f"has mean {one.mean:.3g} and std {one.std:.3g}"
            for one in ends
        ]
        moved = "" if self.moved is None else f", {self.moved:+.2g} std away"
        return (
            f"Channel {self.name} {told[0]} under the first, and "
            f"{told[1]} under the second{moved}."
        )

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "channel": self.name,
            "same": self.same,
            "moved_std": self.moved,
            "first": _moments(self.first),
            "second": _moments(self.second),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """A table's sample under two specs."""

    digests: tuple[str, str]
    looked_at: str
    channels: tuple[BothChannel, ...]

    def sentences(self) -> list[str]:
        """What was found, a sentence a channel."""
        one, other = map(short_digest, self.digests)
        head = f"On {self.looked_at}, under {one} and under {other}:"
        return [head, *(channel.sentence() for channel in self.channels)]


def under_both(
    data: Path,
    first: Spec,
    second: Spec,
    settings: CheckSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Both:
    """Normalize a sample of a plate table under each of two specs.

    Raises:
        DataError: The table is not valid, can't be read, or has none of the channels.
    """
    rows, some, sampled = collected(data, first, settings, progress)
    mine = {one.name: one for one in assembled(rows, sampled, first).channels}
    _, _, again = collected(data, second, settings, progress)
    other = {one.name: one for one in assembled(rows, again, second).channels}
    channels = []
    for pair in compare(first, second).channels:
        one = _after(mine, pair.first)
        two = _after(other, pair.second)
        if one is not None or two is not None:
            channels.append(
                BothChannel(name=pair.name, same=pair.same, first=one, second=two)
            )
    if not channels:
        raise DataError(
            f"{data} has no picture of {', '.join(first.names)} of the specs' type; "
            "name a table of these channels"
        )
    return Both(
        digests=(spec_digest(first), spec_digest(second)),
        looked_at=f"{len(some):,} of {len(rows):,} rows of {data}",
        channels=tuple(channels),
    )


def _after(found: dict[str, Any], channel: Channel | None) -> Distribution | None:
    if channel is None:
        return None
    after: Distribution | None = found[channel.name].after
    return after


def _moments(found: Distribution | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "mean": found.mean,
        "std": found.std,
        "low": found.low,
        "high": found.high,
    }
