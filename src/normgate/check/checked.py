"""What a check found, for a person, a machine and an exit code."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from normgate.contract import short_digest
from normgate.gate.vitals import LEVELS, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.acquisitions.diagnosis import Diagnosis
    from normgate.gate import Finding, Level
    from normgate.transform.view import ChannelView

Kind = Literal["plates", "volumes", "acquisitions", "configurations"]
FORMAT = "normgate.check/1"
BLOCKED = 3
"""Exit code of a red finding; 0 is for green and yellow, 2 for refused input."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What one configuration does with one input, in words."""

    configuration: str
    tool: str
    stage: str
    input: str
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of one check."""

    kind: Kind
    source: str
    """The table, or the file or folder of configurations."""
    source_digest: str
    spec_digest: str
    """Empty without a spec."""
    looked_at: str
    """How much of it was read, in words."""
    findings: tuple[Finding, ...]
    """The worst first."""
    channels: tuple[ChannelView, ...] = ()
    quarantined: tuple[str, ...] = ()
    """Why each file or case could not be read."""
    diagnosis: Diagnosis | None = None
    """Every channel before and after, of acquisitions."""
    computed: tuple[Computed, ...] = ()
    """What each configuration does."""

    @property
    def level(self) -> Level:
        """The worst level."""
        return worst(self.findings)

    @property
    def exit_code(self) -> int:
        """For a shell: `BLOCKED` where a finding is red, else 0."""
        return BLOCKED if self.level == "red" else 0

    @property
    def counts(self) -> Mapping[Level, int]:
        """How many findings each level has."""
        found = Counter(one.level for one in self.findings)
        return {level: found[level] for level in reversed(LEVELS)}

    @property
    def headline(self) -> str:
        """All in one sentence."""
        told = ", ".join(f"{count} {level}" for level, count in self.counts.items())
        spec = f" against spec {short_digest(self.spec_digest)}" * bool(
            self.spec_digest
        )
        return f"{self.source}{spec}: {told} ({self.looked_at})"

    def of(self, level: Level) -> tuple[Finding, ...]:
        """The findings of one level."""
        return tuple(one for one in self.findings if one.level == level)

    def record(self) -> dict[str, Any]:
        """As a JSON object for machines; no number is NaN or infinite."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "source": self.source,
            "source_digest": self.source_digest,
            "spec_digest": self.spec_digest or None,
            "looked_at": self.looked_at,
            "level": self.level,
            "counts": dict(self.counts),
            "findings": [_finite(one.record()) for one in self.findings],
            "quarantined": list(self.quarantined),
            "computed": [asdict(one) for one in self.computed],
            "diagnosis": None if self.diagnosis is None else self.diagnosis.record(),
        }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN and no infinity: they become null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
