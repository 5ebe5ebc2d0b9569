"""The port that an incident implements, so that one entry can replay any of them.

An incident names its arms, trains one arm under one seed, and tells which figures to
show and which claims to judge. Runs, children and resuming are the entry's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from normgate.incidents.claims import Claim
    from normgate.incidents.outcome import Outcome
    from normgate.incidents.table import Table
    from normgate.tracker import Scalar, Tracker

Size = Literal["demo", "reduced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an incident works, and how much it does."""

    out: Path
    """Folder of its data, checkpoints and outcomes."""
    specs: Path
    """The folder `contracts/specs` of the checkout."""
    size: Size
    """`demo`: minutes on two cores; `reduced`: a fraction of that, for tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of the table, and a panel of the picture."""

    metric: str
    """A key of an outcome's metrics."""
    title: str
    """As the table's head, with the unit."""
    better: Literal["higher", "lower", "neither"] = "higher"
    digits: int = 3


class Incident(Protocol):
    """One incident."""

    @property
    def name(self) -> str:
        """As in `-P incident=`."""

    @property
    def family(self) -> str:
        """The model system."""

    @property
    def arms(self) -> Mapping[str, str]:
        """Each arm's name and, in a few words, what is done to it; in table order."""

    @property
    def columns(self) -> Sequence[Column]:
        """The figures to show."""

    @property
    def claims(self) -> Sequence[Claim]:
        """What is to be judged, the post-mortem's own claims first."""

    def identity(self, arm: str, seed: int) -> Mapping[str, Scalar]:
        """Everything that makes an outcome: settings of data, network and fit."""

    def run(self, arm: str, seed: int, tracker: Tracker, folder: Path) -> Outcome:
        """Train one arm under one seed, or take it up, and score it.

        Args:
            arm: Its name.
            seed: Decides data, split and first weights.
            tracker: Told of settings and of each epoch.
            folder: The arm's and seed's own, for pictures.
        """

    def figures(self, table: Table, folder: Path) -> Sequence[Path]:
        """Draw what only this incident has; the common figure is drawn without it."""


def chosen_arms(incident: Incident, names: Sequence[str]) -> tuple[str, ...]:
    """The arms that were asked for, in the table's order; all for none.

    Raises:
        SettingsError: One is unknown.
    """
    unknown = [name for name in names if name not in incident.arms]
    if unknown:
        known = ", ".join(incident.arms)
        raise SettingsError(
            f"arms names {unknown[0]!r}, which incident {incident.name} has not; it "
            f"has {known}"
        )
    return tuple(arm for arm in incident.arms if arm in names or not names)
