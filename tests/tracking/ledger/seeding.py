"""A gated registry with something in it, made by MLflow and SQL alone.

| model | version | what it is |
|---|---|---|
| rescue | 1 | registered under the gate, never allowed; alias `candidate` |
| | 2 | promoted: alias `champion` |
| | 3 | promoted: stage Production |
| old | 1 | from before there was a gate: no evidence |
| ask | 1, 2 | versions of a prompt; alias `live` on the first |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from mlflow_normgate.ledger import upgrade
from mlflow_normgate.ledger.tables import CONTRACTS, EVIDENCE, PROMOTIONS, VERDICTS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

WORKSPACE = "default"
PLACES = {1: "s3://bucket/bad", 2: "s3://bucket/good", 3: "s3://bucket/staged"}


def seed(uri: str) -> SqlAlchemyStore:
    """Fill a database with MLflow's tables, as above.

    Returns:
        MLflow's own store on it, which knows nothing of normgate.
    """
    store = SqlAlchemyStore(uri)
    for model in ("rescue", "old"):
        store.create_registered_model(model)
    store.create_model_version("old", "s3://bucket/old")
    store.create_prompt("ask", "first {{question}}")
    store.create_prompt_version("ask", "first {{question}}")
    store.set_prompt_alias("ask", "live", 1)
    upgrade.initialize(store.engine)
    store.create_prompt_version("ask", "second {{question}}")
    for place in PLACES.values():
        store.create_model_version("rescue", place)
    with store.engine.begin() as connection:
        _fill(connection)
    store.set_registered_model_alias("rescue", "candidate", 1)
    store.set_registered_model_alias("rescue", "champion", 2)
    store.transition_model_version_stage("rescue", 3, "Production", False)
    return store


def _fill(connection: Connection) -> None:
    """What the gate's store writes besides."""
    for version, place in PLACES.items():
        row = {"workspace": WORKSPACE, "name": "rescue", "version": version}
        found = {"location": place, "directory_digest": digest(version)}
        connection.execute(EVIDENCE.insert().values(**row, **found, collected_ms=0))
    act = {"reason": "a test", "actor": "test"}
    connection.execute(
        CONTRACTS.insert().values(
            workspace=WORKSPACE, name="plate", version=1, text="{}", digest="d",
            added_ms=0, **act,
        )
    )  # fmt: skip
    allow(connection, 2, "champion")
    allow(connection, 3, "Production")


def digest(version: int) -> str:
    return f"digest of version {version}"


def allow(
    connection: Connection,
    version: int,
    target: str,
    *,
    name: str = "rescue",
    location: str | None = None,
    allowed: bool = True,
) -> int:
    """Write a verdict, and its promotion if it allows one.

    Returns:
        The verdict's number.
    """
    same = {
        "workspace": WORKSPACE,
        "name": name,
        "version": version,
        "target": target,
        "directory_digest": digest(version),
        "contract_name": "plate",
        "contract_version": 1,
    }
    decided = {"decided_ms": 0, "actor": "test", "action": "promote"}
    result = connection.execute(
        VERDICTS.insert().values(
            **same, **decided, allowed=allowed, channels="{}", refusals="[]"
        )
    )
    assert result.inserted_primary_key is not None
    number = int(result.inserted_primary_key[0])
    if allowed:
        place = location or PLACES[version]
        connection.execute(
            PROMOTIONS.insert().values(**same, location=place, verdict_id=number)
        )
    return number


def held(connection: Connection) -> set[tuple[str, str, int]]:
    """Model, target and version of every promotion."""
    rows = connection.execute(
        sa.select(PROMOTIONS.c.name, PROMOTIONS.c.target, PROMOTIONS.c.version)
    )
    return {tuple(row) for row in rows}


def prompts(connection: Connection) -> set[tuple[str, int]]:
    """What the triggers take for versions of prompts."""
    rows = connection.exec_driver_sql("SELECT name, version FROM normgate_prompts")
    return {tuple(row) for row in rows}


def attempt(engine: Engine, *statements: str) -> None:
    """Run statements in one transaction, and commit it."""
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
