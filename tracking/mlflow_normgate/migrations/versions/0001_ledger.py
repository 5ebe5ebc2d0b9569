"""Make the ledger's tables.

This is a snapshot that never changes; a changed table is a further migration. On
SQLite, tables without a row number leave `INSERT OR REPLACE` no second way to a row.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _column(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _version(*columns: sa.Column[Any]) -> tuple[sa.Column[Any], ...]:
    """The key of a version, with columns of its table."""
    return (
        _column("workspace", sa.String(63)),
        _column("name", sa.String(256)),
        _column("version", sa.Integer()),
        *columns,
    )


def _digests(*names: str) -> tuple[sa.Column[Any], ...]:
    return tuple(sa.Column(f"{name}_digest", sa.String(64)) for name in names)


def _contract() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("contract_name", sa.String(64)),
        sa.Column("contract_version", sa.Integer()),
    )


def _act(when: str) -> tuple[sa.Column[Any], ...]:
    """Why, who and when."""
    return (
        _column("reason", sa.String(1000)),
        _column("actor", sa.String(256)),
        _column(when, sa.BigInteger()),
    )


def _keyed(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(
        name, *columns, sa.PrimaryKeyConstraint(*key), sqlite_with_rowid=False
    )


def upgrade() -> None:
    """Make every table, and mark the database as normgate's."""
    if not sa.inspect(op.get_bind()).has_table("normgate_gate"):
        gate = op.create_table(
            "normgate_gate",
            sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
            _column("since_ms", sa.BigInteger()),
        )
        op.bulk_insert(gate, [{"id": 1, "since_ms": time.time_ns() // 1_000_000}])
    _make_demands()
    _make_versions()
    op.create_table(
        "normgate_verdicts",
        sa.Column("id", sa.Integer(), primary_key=True),
        _column("decided_ms", sa.BigInteger()),
        _column("actor", sa.String(256)),
        _column("action", sa.String(20)),
        *_version(_column("target", sa.String(256)), _column("allowed", sa.Boolean())),
        *_contract(),
        *_digests("contract", "directory", "registered", "manifest", "spec"),
        _column("channels", sa.Text()),
        _column("refusals", sa.Text()),
    )


def _make_demands() -> None:
    _keyed(
        "normgate_contracts",
        _column("workspace", sa.String(63)),
        _column("name", sa.String(64)),
        _column("version", sa.Integer()),
        _column("text", sa.Text()),
        _column("digest", sa.String(64)),
        *_act("added_ms"),
        key=("workspace", "name", "version"),
    )
    op.create_table(
        "normgate_bindings",
        sa.Column("id", sa.Integer(), primary_key=True),
        _column("workspace", sa.String(63)),
        _column("pattern", sa.String(256)),
        *_contract(),
        *_act("bound_ms"),
    )


def _make_versions() -> None:
    _keyed(
        "normgate_evidence",
        *_version(
            sa.Column("location", sa.String(500)), sa.Column("model_id", sa.String(64))
        ),
        *_digests("directory", "manifest", "spec"),
        _column("collected_ms", sa.BigInteger()),
        key=("workspace", "name", "version"),
    )
    _keyed(
        "normgate_promotions",
        *_version(
            _column("target", sa.String(256)), sa.Column("location", sa.String(500))
        ),
        *_digests("directory", "manifest", "spec"),
        *_contract(),
        sa.Column("verdict_id", sa.Integer()),
        sa.Column("since_ms", sa.BigInteger()),
        key=("workspace", "name", "target", "version"),
    )
    _keyed("normgate_prompts", *_version(), key=("workspace", "name", "version"))


def downgrade() -> None:
    """Drop every table, and with them all that the ledger held."""
    for table in ("prompts", "verdicts", "promotions", "evidence"):
        op.drop_table(f"normgate_{table}")
    for table in ("bindings", "contracts", "gate"):
        op.drop_table(f"normgate_{table}")
