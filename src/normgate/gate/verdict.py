"""The outcome of one decision, and how a person is told: allowed, or every refusal.

A dialog and a terminal show one paragraph: the first refusal with its remedy, then the
others shortly. The paragraph leaves out, but `refusals` holds all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SENTENCES = 3
"""Refusals by one rule that are told with their reason; the others are named."""
NAMED = 40
"""Names that stand in one sentence at most."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason against a promotion."""

    code: str
    """A short stable name of the rule, for machines (`channel-mismatch`)."""
    sentence: str
    """What is wrong and why, for a person."""
    remedy: str
    """What to do about it, for the same person."""
    kind: str = ""
    """What several refusals by this rule are about, in the plural (`channels`)."""
    subject: str = ""
    """Which of them this one is about (`HALO`)."""
    brief: str = ""
    """The sentence for one who has just read another by the same rule."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All refusals of one decision, in the order of the rules; none is allowed."""

    refusals: tuple[Refusal, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether no rule refused."""
        return not self.refusals

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the refusals, in order."""
        return tuple(refusal.code for refusal in self.refusals)

    @property
    def text(self) -> str:
        """What and why, what to do, then the rest shortly; each remedy once."""
        if not self.refusals:
            return ""
        first, *others = self.refusals
        told = [first.sentence, first.remedy, *(["Also:"] if others else [])]
        for code, group in groupby(others, attrgetter("code")):
            same = list(group)
            told += _shortly(same, after=1 if code == first.code else 0)
            remedies = dict.fromkeys(refusal.remedy for refusal in same)
            told += [remedy for remedy in remedies if remedy not in told]
        return " ".join(told)


def some_names(names: Sequence[str]) -> str:
    """Names in one line: `DAPI, HALO`, and how many more where there are many."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def _shortly(same: Sequence[Refusal], after: int) -> Iterator[str]:
    """What refusals by one rule say, when `after` others by it have been told."""
    room = SENTENCES - after
    for number, refusal in enumerate(same[:room], after):
        yield refusal.brief if number and refusal.brief else refusal.sentence
    if same[room:]:
        yield _named(same[room:])


def _named(rest: Sequence[Refusal]) -> str:
    names = [refusal.subject for refusal in rest if refusal.subject]
    if not names:
        return f"And {len(rest)} more of this kind."
    kind = rest[0].kind.removesuffix("s") if len(rest) == 1 else rest[0].kind
    return f"And {len(rest)} more {kind}: {some_names(names)}."
