"""Verdicts and promotions in the ledger: what was decided, and what holds now.

A verdict is written for every decision and never changed. A promotion is the digests
that were frozen by the verdict that allowed it; it stands as long as its alias or
stage does. Deciding is `normgate.gate`'s work, transactions are the store's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from mlflow.utils.time import get_current_time_millis

from mlflow_normgate.ledger.contracts import contract_digest
from mlflow_normgate.ledger.tables import PROMOTIONS, VERDICTS
from normgate.contract import channel_digest
from normgate.gate import Refusal, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from normgate.contract import Contract
    from normgate.gate import Evidence

BATCH = 500
"""Rows that are held in memory while the ledger is read."""
MAX_REFUSALS = 100
"""Refusals that are kept of one verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One verdict, and all that it rests on."""

    workspace: str
    name: str
    version: int
    target: str
    """The alias or stage."""
    action: str
    """`promote`, `bind`, `rename` or `verify`."""
    actor: str
    evidence: Evidence
    contract: Contract | None
    registered_digest: str | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A promotion that holds, with what was frozen."""

    name: str
    target: str
    version: int
    location: str
    directory_digest: str | None
    """None for a prompt, which has no files."""
    manifest_digest: str | None
    spec_digest: str | None
    contract_name: str | None
    contract_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A row of the ledger."""

    id: int
    decided_ms: int
    actor: str
    action: str
    workspace: str
    name: str
    version: int
    target: str
    allowed: bool
    contract_name: str | None
    contract_version: int | None
    contract_digest: str | None
    directory_digest: str | None
    registered_digest: str | None
    manifest_digest: str | None
    spec_digest: str | None
    channels: dict[str, dict[str, str | None]]
    """Each channel's digest, `found` and `expected`."""
    verdict: Verdict
    """With every refusal."""


def record(connection: Connection, decision: Decision) -> int:
    """Write a verdict, and return its number in the ledger."""
    found, contract = decision.evidence, decision.contract
    result = connection.execute(
        VERDICTS.insert().values(
            decided_ms=get_current_time_millis(),
            actor=decision.actor,
            action=decision.action,
            workspace=decision.workspace,
            name=decision.name,
            version=decision.version,
            target=decision.target,
            allowed=decision.verdict.allowed,
            contract_name=contract and contract.name,
            contract_version=contract and contract.version,
            contract_digest=contract and contract_digest(contract),
            directory_digest=found.directory_digest,
            registered_digest=decision.registered_digest,
            manifest_digest=found.manifest_digest,
            spec_digest=found.spec_digest,
            channels=json.dumps(_channels(found, contract)),
            refusals=json.dumps(_refusals(decision.verdict)),
        )
    )
    key = result.inserted_primary_key
    assert key is not None  # Both databases return what they inserted.
    return int(key[0])


def freeze(
    connection: Connection, decision: Decision, location: str, number: int
) -> None:
    """Let a promotion hold, with the digests that its verdict rests on."""
    table, found, contract = PROMOTIONS.c, decision.evidence, decision.contract
    connection.execute(
        PROMOTIONS.delete().where(
            table.workspace == decision.workspace,
            table.name == decision.name,
            table.target == decision.target,
            table.version == decision.version,
        )
    )
    connection.execute(
        PROMOTIONS.insert().values(
            workspace=decision.workspace,
            name=decision.name,
            target=decision.target,
            version=decision.version,
            location=location,
            directory_digest=found.directory_digest,
            manifest_digest=found.manifest_digest,
            spec_digest=found.spec_digest,
            contract_name=contract and contract.name,
            contract_version=contract and contract.version,
            verdict_id=number,
            since_ms=get_current_time_millis(),
        )
    )


def promotions(connection: Connection, workspace: str) -> list[Held]:
    """Every promotion of a model that holds, in order of model, target and version."""
    table = PROMOTIONS.c
    return _held(
        connection,
        table.workspace == workspace,
        table.directory_digest.is_not(None),
    )


def promotions_of(
    connection: Connection, workspace: str, name: str, version: int
) -> list[Held]:
    """What one version is promoted to; a prompt's have no digests."""
    table = PROMOTIONS.c
    return _held(
        connection,
        table.workspace == workspace,
        table.name == name,
        table.version == version,
    )


def verdicts(
    connection: Connection,
    workspace: str,
    *,
    name: str | None = None,
    version: int | None = None,
    refused: bool = False,
    limit: int | None = None,
) -> Iterator[Decided]:
    """Verdicts, the newest first.

    Args:
        connection: Of the registry's database.
        workspace: Whose verdicts.
        name: Of this registered model only.
        version: Of this version only.
        refused: Only refusals.
        limit: At most so many.
    """
    table = VERDICTS.c
    query = sa.select(VERDICTS).where(table.workspace == workspace)
    if name is not None:
        query = query.where(table.name == name)
    if version is not None:
        query = query.where(table.version == version)
    if refused:
        query = query.where(table.allowed.is_(False))
    query = query.order_by(table.id.desc()).limit(limit)
    # Of the statement: an option of the connection would stay on it.
    with connection.execute(query.execution_options(yield_per=BATCH)) as rows:
        for row in rows.mappings():
            fields: dict[str, Any] = dict(row)
            verdict = _verdict(fields.pop("refusals"))
            fields["channels"] = json.loads(row["channels"])
            yield Decided(**fields, verdict=verdict)


def _held(connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[Held]:
    table = PROMOTIONS.c
    columns = [table[field] for field in Held.__dataclass_fields__]
    query = sa.select(*columns).where(*conditions)
    rows = connection.execute(query.order_by(table.name, table.target, table.version))
    return [Held(**row) for row in rows.mappings()]


def _refusals(verdict: Verdict) -> list[dict[str, str]]:
    """What is kept of a verdict's refusals: a client decides how many there are."""
    kept = [asdict(refusal) for refusal in verdict.refusals[:MAX_REFUSALS]]
    left = len(verdict.refusals) - len(kept)
    more = Refusal("more", f"And {left} more refusals.", "Mend these first.")
    return [*kept, asdict(more)] if left else kept


def _verdict(text: str) -> Verdict:
    """A verdict as it was written, by this release or another."""
    known = Refusal.__dataclass_fields__
    return Verdict(
        tuple(
            Refusal(**{key: value for key, value in one.items() if key in known})
            for one in json.loads(text)
        )
    )


def _channels(
    found: Evidence, contract: Contract | None
) -> dict[str, dict[str, str | None]]:
    """Each channel's digest as it was found and as it is demanded."""
    channels = () if found.spec is None else found.spec.channels
    have = {channel.name: channel_digest(channel) for channel in channels}
    demanded = () if contract is None else contract.channels
    want = {channel.name: channel.digest for channel in demanded}
    return {
        name: {"found": have.get(name), "expected": want.get(name)}
        for name in [*have, *(name for name in want if name not in have)]
    }
