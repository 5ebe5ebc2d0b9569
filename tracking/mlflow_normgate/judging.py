"""One decision inside a transaction: judged, written down, and shown on its page.

The ledger and the evidence alone are judged. What stands on a version's page (tags,
the note in its description) is for people and is never read back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag

from mlflow_normgate import reserved
from mlflow_normgate.actor import actor
from mlflow_normgate.ledger.contracts import contract_label, in_force
from mlflow_normgate.ledger.registrations import registered_digest
from mlflow_normgate.ledger.verdicts import (
    Decision,
    freeze,
    promotions_of,
    record,
    verdicts,
)
from mlflow_normgate.notes import Said, version_note, with_note
from normgate.errors import ContractError
from normgate.gate import Refusal, Verdict, decide

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from mlflow_normgate.ledger.verdicts import Decided
    from normgate.contract import Contract
    from normgate.gate import Evidence

Version = Any
"""MLflow's row of a version, whose columns have no types."""
SHOWN_VERDICTS = 50
AMBIGUOUS = "ambiguous-contract"
"""The code of the refusal where patterns demand different contracts."""
BIND_EXACTLY = "Bind the contract that is meant to the model's exact name."


class Refused(MlflowException):
    """A refusal of the gate, which is yet to be written down.

    Args:
        decision: What was decided.
        sentence: What the client is told, with status 403.
    """

    def __init__(self, decision: Decision, sentence: str) -> None:
        super().__init__(sentence, error_code=PERMISSION_DENIED)
        self.decision = decision


def judge(
    session: Session,
    row: Version,
    *,
    target: str,
    action: str,
    evidence: Evidence,
    name: str | None = None,
) -> Decision:
    """Judge one version for one target, under the contract that is in force.

    Args:
        session: Of MLflow's own write, with the registered model's row held.
        row: The version.
        target: The alias or stage that is asked for.
        action: What is being done; see `Decision`.
        evidence: What was found in the version's bytes just now.
        name: The registered model's name, if it is about to be another.
    """
    connection, name = session.connection(), name or row.name
    key = (row.workspace, name, row.version)
    registered = registered_digest(connection, key, row.storage_location)
    contract: Contract | None = None
    try:
        contract = in_force(connection, row.workspace, name)
        verdict = decide(evidence, contract, registered)
    except ContractError as error:
        verdict = Verdict((Refusal(AMBIGUOUS, str(error), BIND_EXACTLY),))
    return Decision(
        workspace=row.workspace,
        name=name,
        version=row.version,
        target=target,
        action=action,
        actor=actor(),
        evidence=evidence,
        contract=contract,
        registered_digest=registered,
        verdict=verdict,
    )


def settle(session: Session, row: Version, decision: Decision) -> None:
    """Write an allowing verdict and its promotion; the same one again is no news."""
    connection, found = session.connection(), decision.evidence
    held = promotions_of(connection, decision.workspace, decision.name, row.version)
    frozen = {
        (one.target, one.directory_digest, one.contract_name, one.contract_version)
        for one in held
    }
    contract = decision.contract
    assert contract is not None  # Without one nothing is allowed.
    now = (found.directory_digest, contract.name, contract.version)
    if (decision.target, *now) in frozen:
        return
    number = record(connection, decision)
    freeze(connection, decision, row.storage_location, number)
    show(session, row, decision)


def show(session: Session, row: Version, decision: Decision) -> None:
    """Put a decision on the version's page."""
    said = "allowed" if decision.verdict.allowed else "refused"
    tags = {reserved.VERDICT: f"{said}: {decision.target}"}
    if decision.contract is not None:
        tags[reserved.CONTRACT] = contract_label(decision.contract)
    for key, value in tags.items():
        session.merge(
            SqlModelVersionTag(
                workspace=row.workspace,
                name=row.name,
                version=row.version,
                key=key,
                value=value,
            )
        )
    row.description = note(session, row, decision)


def registered_note(evidence: Evidence, contract: Contract | None) -> str:
    """The gate's section of a description, before anything was decided."""
    return version_note(
        evidence.spec,
        spec_digest=evidence.spec_digest,
        manifest_digest=evidence.manifest_digest,
        contract=contract,
        verdicts=(),
        problems=(*evidence.problems, *evidence.manifest_problems),
    )


def note(session: Session, row: Version, decision: Decision) -> str:
    """The description of a version, with the gate's section as it is after this."""
    rows = verdicts(
        session.connection(),
        row.workspace,
        name=decision.name,
        version=row.version,
        limit=SHOWN_VERDICTS,
    )
    newest: dict[str, Said] = {}
    for one in rows:
        said = Said(
            target=one.target,
            allowed=one.allowed,
            text=one.verdict.text,
            contract=_label(one),
            when_ms=one.decided_ms,
            actor=one.actor,
        )
        newest.setdefault(one.target, said)
    written = version_note(
        decision.evidence.spec,
        spec_digest=decision.evidence.spec_digest,
        manifest_digest=decision.evidence.manifest_digest,
        contract=decision.contract,
        verdicts=tuple(newest.values()),
    )
    return with_note(row.description, written)


def _label(one: Decided) -> str:
    if one.contract_name is None:
        return ""
    return f"{one.contract_name} version {one.contract_version}"
