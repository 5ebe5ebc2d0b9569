"""Every channel of a study before and after its spec: numbers for a table and a figure.

What is good or bad of them is `audit`'s to say; here is also in which orders files list
the channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.acquisitions.audit import SPARSE
from normgate.gate.vitals import DEAD_STD

if TYPE_CHECKING:
    from normgate.acquisitions.facts import Facts

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDiagnosis:
    """One channel over all pixels; standard deviations have ddof 0."""

    name: str
    raw_mean: float
    raw_std: float
    zero: float
    """Share of raw values that are 0, the mean of the acquisitions' shares."""
    mean: float | None
    """After the spec; None without one."""
    std: float | None

    @property
    def mark(self) -> str:
        """`dead` if it is a constant, `sparse` if nearly all of it is 0, or nothing."""
        constant = self.std is not None and not self.std >= DEAD_STD
        if constant or not self.raw_std > 0:
            return "dead"
        return "sparse" if self.zero > SPARSE else ""

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "channel": self.name,
            "raw_mean": self.raw_mean,
            "raw_std": self.raw_std,
            "zero_share": self.zero,
            "mean": self.mean,
            "std": self.std,
            "mark": self.mark,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelOrder:
    """An order in which files list the channels."""

    names: tuple[str, ...]
    acquisitions: tuple[str, ...]
    """Those whose files do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All channels, in the spec's order."""

    channels: tuple[ChannelDiagnosis, ...]
    orders: tuple[PanelOrder, ...]
    """The most frequent first."""

    @property
    def after(self) -> bool:
        """Whether there is a spec."""
        return all(one.std is not None for one in self.channels)

    @property
    def ratios(self) -> tuple[float, ...]:
        """How much wider the widest channel spreads than the narrowest that varies.

        Before, and after where there is a spec; NaN where none varies.
        """
        sides = [[one.raw_std for one in self.channels]]
        if self.after:
            sides.append([one.std or 0.0 for one in self.channels])
        alive = [[std for std in side if std > 0] for side in sides]
        return tuple(max(own) / min(own) if own else math.nan for own in alive)

    def marked(self, mark: str) -> tuple[str, ...]:
        """The channels of a mark."""
        return tuple(one.name for one in self.channels if one.mark == mark)

    def place(self, order: PanelOrder) -> tuple[int, ...]:
        """Where each channel stands in an order, from 0."""
        at = {name: place for place, name in enumerate(order.names)}
        return tuple(at[one.name] for one in self.channels)

    def sentences(self) -> list[str]:
        """What a person is to know first."""
        said = [
            f"{side} the spec the widest channel spreads {ratio:,.4g} times as wide "
            "as the narrowest that varies."
            for side, ratio in zip(("Before", "After"), self.ratios, strict=False)
        ]
        for mark in ("dead", "sparse"):
            found = self.marked(mark)
            more = f" and {len(found) - _MOST_NAMED} more" * (len(found) > _MOST_NAMED)
            names = ", ".join(found[:_MOST_NAMED]) or "none"
            said.append(f"{mark.capitalize()} channels: {names}{more}.")
        return [*said, *map(self._order_sentence, self.orders)]

    def text(self) -> str:
        """Sentences, then a line a channel, for a terminal or a file."""
        width = max(len("channel"), *(len(one.name) for one in self.channels))
        head = f"{'channel':<{width}}  {'raw mean':>10} {'raw std':>10} {'zeros':>8}"
        head += f" {'mean':>10} {'std':>10}" * self.after
        lines = [*self.sentences(), "", head]
        for one in self.channels:
            line = f"{one.name:<{width}}  {one.raw_mean:>10.4g} {one.raw_std:>10.4g} "
            line += f"{one.zero:>8.2%}"
            if one.mean is not None and one.std is not None:
                line += f" {one.mean:>10.3f} {one.std:>10.3f}"
            lines.append(f"{line}  {one.mark}".rstrip())
        return "\n".join(lines) + "\n"

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "channels": [one.record() for one in self.channels],
            "orders": [
                {"names": list(one.names), "acquisitions": list(one.acquisitions)}
                for one in self.orders
            ],
        }

    def _order_sentence(self, order: PanelOrder) -> str:
        elsewhere = sum(at != place for at, place in enumerate(self.place(order)))
        told = (
            f"{len(order.acquisitions)} acquisitions, such as {order.acquisitions[0]}"
        )
        where = (
            f"list {elsewhere} of {len(self.channels)} channels in another place than "
            "here"
            if elsewhere
            else "list the channels in the order that they have here"
        )
        return f"Panel order: {told}, {where}."


def diagnosis(facts: Facts, *, after: bool) -> Diagnosis:
    """All channels of a study.

    Args:
        facts: What was found.
        after: Whether a spec was applied.
    """
    columns = zip(
        facts.names,
        facts.raw.mean_c.tolist(),
        facts.raw.std_c.tolist(),
        facts.zero_ac.mean(axis=0).tolist(),
        facts.after.mean_c.tolist(),
        facts.after.std_c.tolist(),
        strict=True,
    )
    return Diagnosis(
        channels=tuple(
            ChannelDiagnosis(
                name=name,
                raw_mean=raw_mean,
                raw_std=raw_std,
                zero=zero,
                mean=mean if after else None,
                std=std if after else None,
            )
            for name, raw_mean, raw_std, zero, mean, std in columns
        ),
        orders=tuple(
            PanelOrder(names=names, acquisitions=own)
            for names, own in sorted(
                facts.orders.items(), key=lambda one: (-len(one[1]), one[1])
            )
        ),
    )
