"""Whatever SQL does to MLflow's tables, nothing protected stands without a verdict.

Sequences of statements are drawn at random, the gate's own promotions among them; some
are refused, some are not. The law is looked at after each. On SQLite the account may
also turn foreign keys off and triggers recursive.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from mlflow_normgate.ledger import rules, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection, Engine
    from tests.postgresql import Postgresql

PROMOTE = "the gate promotes"
NAMES, NUMBERS, WORKSPACES = ("'a'", "'b'"), ("1", "2"), ("'default'", "'w'", "NULL")
ALIASES = ("'candidate'", "'champion'", "'next'", "'Production'")
STAGES = (
    "'None'",
    "'Archived'",
    "'Production'",
    "'Deleted_Internal'",
    "NULL",
    "'next'",
)
PLACES = ("'s3://x'", "'s3://y'", "'dummy-source'", "NULL", "''")
COLUMNS = {
    "workspace": WORKSPACES[:2],
    "name": NAMES,
    "version": NUMBERS,
    "alias": ALIASES,
    "current_stage": STAGES,
    "source": PLACES,
    "storage_location": PLACES,
}
TABLES = {
    "registered_model_aliases": ("workspace", "name", "alias", "version"),
    "model_versions": (
        "workspace", "name", "version", "current_stage", "source", "storage_location"
    ),
}  # fmt: skip
CONFLICTS = ("", "OR REPLACE ", "OR IGNORE ", "OR FAIL ")


@st.composite
def statements(draw: st.DrawFn, dialect: str) -> str:
    """One statement, or a promotion by the gate."""
    kind = draw(st.sampled_from(("insert", "update", "delete", "rename", PROMOTE)))
    how = draw(st.sampled_from(CONFLICTS)) if dialect == "sqlite" else ""
    if kind == PROMOTE:
        target = draw(st.sampled_from(("'champion'", "'next'", "'Production'")))
        return f"{PROMOTE} {draw(one('name'))} {draw(one('version'))} {target}"
    if kind == "rename":
        names = [draw(st.sampled_from((*NAMES, "'c'"))) for _ in range(2)]
        return (
            f"UPDATE {how}registered_models SET name = {names[0]} "
            f"WHERE name = {names[1]}"
        )
    table = draw(st.sampled_from(tuple(TABLES)))
    columns = TABLES[table]
    if kind == "insert":
        row = {column: draw(one(column)) for column in columns}
        row["workspace"] = draw(st.sampled_from(WORKSPACES))
        return (
            f"INSERT {how}INTO {table} ({', '.join(row)}) "
            f"VALUES ({', '.join(row.values())})"
        )
    limits = draw(st.lists(st.sampled_from(columns[:4]), max_size=3, unique=True))
    where = " AND ".join(f"{column} = {draw(one(column))}" for column in limits)
    rest = f" WHERE {where}" if where else ""
    if kind == "delete":
        return f"DELETE FROM {table}{rest}"
    changed = draw(
        st.lists(st.sampled_from(columns), min_size=1, max_size=2, unique=True)
    )
    change = ", ".join(f"{column} = {draw(one(column))}" for column in changed)
    return f"UPDATE {how}{table} SET {change}{rest}"


def one(column: str) -> st.SearchStrategy[str]:
    return st.sampled_from(COLUMNS[column])


HERE = "COALESCE(NULLIF(version.storage_location, ''), version.source)"
SERVED = (
    "version.current_stage IS NULL OR version.current_stage <> 'Deleted_Internal') "
    f"AND {HERE} NOT IN {rules.SQL_PLACEHOLDERS}"
)
ALLOWED = (
    "NOT EXISTS (SELECT 1 FROM normgate_promotions AS held "
    "JOIN normgate_verdicts AS verdict ON verdict.id = held.verdict_id "
    "AND verdict.allowed AND verdict.target = held.target "
    "WHERE held.workspace = version.workspace AND held.name = version.name "
    "AND held.version = version.version AND held.target = {} "
    f"AND held.location = {HERE})"
)
UNVERIFIED = (
    "SELECT alias.alias FROM registered_model_aliases AS alias "
    "JOIN model_versions AS version ON alias.workspace = version.workspace "
    "AND alias.name = version.name AND alias.version = version.version "
    f"WHERE ({SERVED} AND alias.alias NOT IN {rules.SQL_OPEN_ALIASES} "
    f"AND {ALLOWED.format('alias.alias')} UNION "
    "SELECT version.current_stage FROM model_versions AS version "
    f"WHERE version.current_stage NOT IN {rules.SQL_OPEN_STAGES} "
    f"AND {ALLOWED.format('version.current_stage')}"
)
"""What is protected and is served, without an allowing verdict on its location."""


def promote(connection: Connection, statement: str) -> None:
    """What the gate's store writes, for a version that has files."""
    name, version, target = statement.removeprefix(PROMOTE).split()
    key = f"workspace = 'default' AND name = {name} AND version = {version}"
    same = f"'default', {name}, {version}, {target}"
    files = (
        f"FROM model_versions AS version WHERE {key} AND ({SERVED} "
        f"AND {HERE} IS NOT NULL"
    )
    if connection.exec_driver_sql(f"SELECT 1 {files}").first() is None:
        return
    for sql in (
        "INSERT INTO normgate_verdicts (workspace, name, version, target, decided_ms, "
        "actor, action, allowed, channels, refusals) "
        f"SELECT {same}, 0, 'gate', 'promote', TRUE, '', '' {files}",
        f"DELETE FROM normgate_promotions WHERE {key} AND target = {target}",
        "INSERT INTO normgate_promotions (workspace, name, version, target, location, "
        f"verdict_id) SELECT {same}, {HERE}, (SELECT MAX(id) FROM normgate_verdicts) "
        f"{files}",
        f"UPDATE model_versions SET current_stage = {target} WHERE {key}"
        if target == "'Production'"
        else "INSERT INTO registered_model_aliases (workspace, name, version, alias) "
        f"VALUES ({same}) ON CONFLICT (workspace, name, alias) "
        "DO UPDATE SET version = excluded.version",
    ):
        connection.exec_driver_sql(sql)


START = (
    "INSERT INTO registered_models (workspace, name) "
    "VALUES ('default', 'a'), ('default', 'b')",
    "INSERT INTO model_versions (workspace, name, version, current_stage, source, "
    "storage_location) VALUES ('default', 'a', 1, 'None', 's3://x', 's3://x'), "
    "('default', 'a', 2, 'None', 's3://y', 's3://y'), "
    "('default', 'b', 1, 'None', 'dummy-source', 'dummy-source')",
    "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
    "VALUES ('default', 'a', 'candidate', 1), ('default', 'b', 'champion', 1)",
)


def play(connection: Connection, drawn: list[str]) -> None:
    """Run statements, each of which may be refused, and look at the law."""
    for statement in START:
        connection.exec_driver_sql(statement)
    for statement in drawn:
        connection.exec_driver_sql("SAVEPOINT one")
        try:
            if statement.startswith(PROMOTE):
                promote(connection, statement)
            else:
                connection.exec_driver_sql(statement)
        except IntegrityError:
            connection.exec_driver_sql("ROLLBACK TO one")
        connection.exec_driver_sql("RELEASE one")
        assert connection.exec_driver_sql(UNVERIFIED).all() == [], statement


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A gated database on SQLite."""
    path = tmp_path_factory.mktemp("raw") / "mlflow.db"
    path.write_bytes(empty_database.read_bytes())
    engine = sa.create_engine(f"sqlite:///{path}")
    upgrade.initialize(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="module")
def server(postgresql: Postgresql) -> Iterator[Engine]:
    """A gated database on PostgreSQL."""
    uri = postgresql.create()
    engine = sa.create_engine(uri)
    upgrade.initialize(engine)
    yield engine
    engine.dispose()
    postgresql.drop(uri)


@settings(max_examples=300, deadline=None)
@given(
    drawn=st.lists(statements("sqlite"), min_size=5, max_size=25),
    pragmas=st.tuples(st.booleans(), st.booleans()),
)
def test_no_sequence_of_sql_gets_around_the_gate_on_sqlite(
    file: Path, drawn: list[str], pragmas: tuple[bool, bool]
) -> None:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with sqlite3.connect(file) as disk:
        disk.backup(memory)
    disk.close()
    memory.execute(f"PRAGMA foreign_keys = {pragmas[0]}")
    memory.execute(f"PRAGMA recursive_triggers = {pragmas[1]}")
    engine = sa.create_engine("sqlite://", creator=lambda: memory)
    with engine.connect() as connection:
        play(connection, drawn)
    engine.dispose()


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=st.lists(statements("postgresql"), min_size=5, max_size=25))
def test_no_sequence_of_sql_gets_around_the_gate_on_postgresql(
    server: Engine, drawn: list[str]
) -> None:
    with server.connect() as connection:
        play(connection, drawn)
        connection.rollback()
