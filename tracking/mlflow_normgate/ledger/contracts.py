"""Contracts in the ledger: added once, never rewritten, and bound to names of models.

A binding's pattern is a model's exact name or holds `*` and `?`. Of each pattern the
newest row is in force; an exact name goes before patterns. Who may bind, and what a
new binding means for promoted versions, is the store's work.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.utils.time import get_current_time_millis

from mlflow_normgate.ledger.tables import BINDINGS, CONTRACTS
from normgate.contract import parse_contract, to_json
from normgate.errors import ContractError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from normgate.contract import Contract

MAX_REASON = 1000
MAX_PATTERN = 256
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
LABEL = re.compile(r"(?P<name>\S+) version (?P<version>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who changes what is demanded, and why."""

    workspace: str
    actor: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse an act without a reason."""
        found = len(self.reason.strip())
        if not 1 <= found <= MAX_REASON:
            raise ContractError(
                f"changing contracts needs a reason of 1 to {MAX_REASON} characters, "
                f"found {found}"
            )
        if UNWRITABLE.search(self.reason):
            raise ContractError(
                "the reason holds a zero byte or half a letter, which no database "
                "takes; write it as plain text"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A contract as the ledger holds it."""

    contract: Contract
    digest: str
    """SHA-256 of its canonical JSON."""
    reason: str
    actor: str
    added_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A binding that is in force."""

    pattern: str
    contract_name: str
    contract_version: int
    reason: str
    actor: str
    bound_ms: int


def contract_digest(contract: Contract) -> str:
    """SHA-256 of the contract's canonical JSON."""
    return hashlib.sha256(to_json(contract)).hexdigest()


def contract_label(contract: Contract) -> str:
    """The contract in three words, as `plate_3ch version 1`."""
    return f"{contract.name} version {contract.version}"


def add(connection: Connection, act: Act, contract: Contract) -> None:
    """Add a contract; adding the same one again changes nothing.

    Raises:
        ContractError: If another text stands under its name and version.
    """
    stated = find(connection, act.workspace, contract.name, contract.version)
    if stated is None:
        connection.execute(
            CONTRACTS.insert().values(
                workspace=act.workspace,
                name=contract.name,
                version=contract.version,
                text=to_json(contract).decode(),
                digest=contract_digest(contract),
                reason=act.reason,
                actor=act.actor,
                added_ms=get_current_time_millis(),
            )
        )
    elif stated.contract != contract:
        raise ContractError(
            f"Contract {contract_label(contract)} is in the ledger with another text, "
            "and a contract is never rewritten. Raise its version."
        )


def bind(
    connection: Connection, act: Act, pattern: str, contract: Contract | None
) -> None:
    """Bind a contract to a pattern, or release the pattern; binding adds it too.

    Raises:
        ContractError: If the pattern can be no model's name, or see `add`.
    """
    if not 1 <= len(pattern) <= MAX_PATTERN or re.search(r"[/:]", pattern):
        raise ContractError(
            f"{pattern[:MAX_PATTERN]!r} can be no model's name: expected 1 to "
            f"{MAX_PATTERN} characters without / and :, where * and ? stand for others"
        )
    if contract is not None:
        add(connection, act, contract)
    connection.execute(
        BINDINGS.insert().values(
            workspace=act.workspace,
            pattern=pattern,
            contract_name=contract and contract.name,
            contract_version=contract and contract.version,
            reason=act.reason,
            actor=act.actor,
            bound_ms=get_current_time_millis(),
        )
    )


def in_force(connection: Connection, workspace: str, model: str) -> Contract | None:
    """The contract that a registered model stands under; None for none.

    Raises:
        ContractError: If patterns demand different contracts of it.
    """
    matching = [
        bound for bound in bindings(connection, workspace) if fits(bound.pattern, model)
    ]
    exact = [bound for bound in matching if bound.pattern == model]
    demanded = {(b.contract_name, b.contract_version) for b in exact or matching}
    if len(demanded) > 1:
        patterns = ", ".join(sorted(bound.pattern for bound in matching))
        raise ContractError(
            f"The patterns {patterns} bind different contracts to {model}."
        )
    if not demanded:
        return None
    name, version = demanded.pop()
    stated = find(connection, workspace, name, version)
    return None if stated is None else stated.contract


def fits(pattern: str, model: str) -> bool:
    """Whether a binding's pattern is a model's name or stands for it."""
    first, *rest = (re.escape(p).replace(r"\?", ".") for p in pattern.split("*"))
    if rest:
        # Atomic groups, or a pattern of many stars would be tried for ever.
        middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
        first += f"{middle}.*{rest[-1]}"
    return re.fullmatch(first, model, re.DOTALL) is not None


def is_pattern(name: str) -> bool:
    """Whether a model's name, as a binding's pattern, would stand for others too."""
    return not {"*", "?"}.isdisjoint(name)


def bindings(connection: Connection, workspace: str) -> list[Bound]:
    """The bindings that are in force, in order of their patterns."""
    table = BINDINGS.c
    newest = (
        sa.select(sa.func.max(table.id))
        .where(table.workspace == workspace)
        .group_by(table.pattern)
    )
    rows = connection.execute(
        sa.select(BINDINGS)
        .where(table.id.in_(newest), table.contract_name.is_not(None))
        .order_by(table.pattern)
    )
    return [
        Bound(
            pattern=row.pattern,
            contract_name=row.contract_name,
            contract_version=row.contract_version,
            reason=row.reason,
            actor=row.actor,
            bound_ms=row.bound_ms,
        )
        for row in rows
    ]


def contracts(connection: Connection, workspace: str) -> list[Stated]:
    """Every contract, in order of name and version."""
    table = CONTRACTS.c
    rows = connection.execute(
        sa.select(CONTRACTS)
        .where(table.workspace == workspace)
        .order_by(table.name, table.version)
    )
    return [_stated(row) for row in rows]


def find(
    connection: Connection, workspace: str, name: str, version: int
) -> Stated | None:
    """One contract, if the ledger has it."""
    table = CONTRACTS.c
    row = connection.execute(
        sa.select(CONTRACTS).where(
            table.workspace == workspace, table.name == name, table.version == version
        )
    ).one_or_none()
    return None if row is None else _stated(row)


def _stated(row: sa.Row[tuple[object, ...]]) -> Stated:
    return Stated(
        contract=parse_contract(row.text.encode(), f"contract {row.name}"),
        digest=row.digest,
        reason=row.reason,
        actor=row.actor,
        added_ms=row.added_ms,
    )
