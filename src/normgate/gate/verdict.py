"""The outcome of one decision: allowed, or every refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason against a promotion."""

    code: str
    """A short stable name of the rule, for machines (`channel-mismatch`)."""
    sentence: str
    """What is wrong and why, then what to do, for a person."""


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
        """Every sentence, as a person reads them in a dialog."""
        return " ".join(refusal.sentence for refusal in self.refusals)
