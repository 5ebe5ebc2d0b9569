"""The promotion rules. Everything here is pure, so a table of cases tests it all.

`evidence` is what was found in the bytes of one model version, `rules` look at it,
`policy` asks them all, `verdict` says the outcome, `vitals` are signs of a dead or
lying run, a `finding` is one of data before a run. Collecting the evidence (artifacts,
registry) is the caller's work.
"""

from normgate.gate.evidence import Card, Evidence, Member
from normgate.gate.finding import Finding
from normgate.gate.policy import (
    OPEN_ALIASES,
    OPEN_STAGES,
    RULES,
    decide,
    protected_alias,
    protected_stage,
)
from normgate.gate.verdict import Refusal, Verdict
from normgate.gate.vitals import Level, Vital

__all__ = [
    "OPEN_ALIASES",
    "OPEN_STAGES",
    "RULES",
    "Card",
    "Evidence",
    "Finding",
    "Level",
    "Member",
    "Refusal",
    "Verdict",
    "Vital",
    "decide",
    "protected_alias",
    "protected_stage",
]
