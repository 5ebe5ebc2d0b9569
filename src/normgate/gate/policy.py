"""The policy: which targets are protected, which rules are asked, and `decide`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.gate.rules import (
    Case,
    Rule,
    applied_equals_declared,
    bytes_are_unchanged,
    channels_are_the_contracts,
    channels_compute_the_same,
    contract_is_bound,
    evidence_is_complete,
    manifest_is_intact,
    metrics_reach_their_floors,
    no_vital_is_red,
    weights_carry_the_spec,
)
from normgate.gate.verdict import Verdict

if TYPE_CHECKING:
    from normgate.contract import Contract
    from normgate.gate.evidence import Evidence

OPEN_ALIASES = frozenset({"candidate", "challenger"})
"""Aliases that anyone may set on anything; nothing is deployed by them."""
OPEN_STAGES = frozenset({"None", "Archived"})
"""MLflow's legacy stages that promise nothing."""


def protected_alias(alias: str) -> bool:
    """Whether the gate decides on an alias: on every one that is not open."""
    return alias not in OPEN_ALIASES


def protected_stage(stage: str) -> bool:
    """Whether the gate decides on a legacy stage, by its canonical name."""
    return stage not in OPEN_STAGES


RULES: tuple[Rule, ...] = (
    contract_is_bound,
    evidence_is_complete,
    manifest_is_intact,
    channels_are_the_contracts,
    channels_compute_the_same,
    weights_carry_the_spec,
    applied_equals_declared,
    metrics_reach_their_floors,
    no_vital_is_red,
    bytes_are_unchanged,
)


def decide(
    evidence: Evidence, contract: Contract | None, registered_digest: str | None
) -> Verdict:
    """Ask every rule, and report every refusal rather than only the first.

    Args:
        evidence: What was found in the bytes that are served now.
        contract: The contract bound to the registered model, if any.
        registered_digest: The directory digest recorded at registration, if any.
    """
    case = Case(
        evidence=evidence, contract=contract, registered_digest=registered_digest
    )
    return Verdict(tuple(refusal for rule in RULES for refusal in rule(case)))
