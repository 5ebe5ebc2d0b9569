"""A finding: a vital of data before any training, with its culprit and its mending.

Whoever looks at data gives findings (`check`, and the packages of each kind of data);
`vitals` says what a level and a basis are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from normgate.gate.vitals import LEVELS, Vital

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Vital):
    """One thing that data say of themselves, judged."""

    culprit: str
    """The channel, plate, file or case that it is about."""
    mend: str
    """What to do about it, a sentence; empty where there is nothing to do."""


def finding(vital: Vital, *, culprit: str, mend: str) -> Finding:
    """The finding of a vital, whose number, threshold and level stay."""
    return Finding(**asdict(vital), culprit=culprit, mend=mend)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, each level in the order given."""
    return tuple(sorted(findings, key=lambda one: -LEVELS.index(one.level)))
