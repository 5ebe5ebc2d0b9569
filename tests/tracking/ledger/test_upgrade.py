"""The ledger comes into a registry's database, is mended there, and goes again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.tracking.ledger.seeding import held, seed

from mlflow_normgate.ledger import backstop, upgrade
from mlflow_normgate.ledger.tables import GATE, METADATA
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgresql import Postgresql


@pytest.fixture
def engine(database_uri: str) -> Iterator[sa.Engine]:
    """A database with MLflow's tables alone."""
    engine = sa.create_engine(database_uri)
    yield engine
    engine.dispose()


def schema(engine: sa.Engine) -> dict[str, object]:
    """Every table with its columns, and every trigger and function by name."""
    found: dict[str, object] = {}
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        for table in inspector.get_table_names():
            columns = inspector.get_columns(table)
            found[table] = [
                (column["name"], str(column["type"]), column["nullable"])
                for column in columns
            ]
        statement = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
            "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION "
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        }[engine.dialect.name]
        found["rest"] = sorted(row[0] for row in connection.exec_driver_sql(statement))
    return found


def test_a_database_is_plain_until_it_is_initialized(engine: sa.Engine) -> None:
    assert not upgrade.is_gated(engine)

    upgrade.initialize(engine)

    assert upgrade.is_gated(engine)


def test_the_migrations_make_the_tables_that_the_code_reads(engine: sa.Engine) -> None:
    upgrade.initialize(engine)

    def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
        if kind != "table":
            return True
        return str(name).startswith("normgate_") and name != upgrade.VERSION_TABLE

    with engine.connect() as connection:
        options = {"include_object": ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_initializing_again_changes_nothing(engine: sa.Engine) -> None:
    upgrade.initialize(engine)
    before = schema(engine)
    with engine.connect() as connection:
        since = connection.execute(sa.select(GATE)).all()

    upgrade.initialize(engine)
    upgrade.check(engine)

    assert schema(engine) == before
    with engine.connect() as connection:
        assert connection.execute(sa.select(GATE)).all() == since
        assert len(since) == 1


def test_a_downgrade_leaves_mlflows_database_as_it_was(engine: sa.Engine) -> None:
    before = schema(engine)
    upgrade.downgrade(engine)
    upgrade.initialize(engine)
    assert schema(engine) != before

    upgrade.downgrade(engine)

    assert schema(engine) == before
    assert not upgrade.is_gated(engine)
    upgrade.initialize(engine)
    with engine.connect() as connection:
        assert backstop.wrong(connection) == ()


def test_a_database_that_was_only_marked_is_given_a_ledger(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        GATE.create(connection)
        connection.execute(GATE.insert().values(id=1, since_ms=12))
    assert upgrade.is_gated(engine)

    upgrade.check(engine)

    with engine.connect() as connection:
        assert connection.execute(sa.select(GATE.c.since_ms)).scalars().all() == [12]
        assert backstop.wrong(connection) == ()


def test_a_failure_half_way_leaves_nothing(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema(engine)

    def fail(_: object) -> None:
        raise RuntimeError("half way")

    with monkeypatch.context() as patched:
        patched.setattr(backstop, "ensure", fail)
        with pytest.raises(RuntimeError):
            upgrade.initialize(engine)

    assert schema(engine) == before
    upgrade.initialize(engine)


START = """
import sys
import sqlalchemy as sa
from mlflow_normgate.ledger import backstop, upgrade

engine = sa.create_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
upgrade.initialize(engine)
upgrade.check(engine)
with engine.connect() as connection:
    print(backstop.wrong(connection))
"""


@pytest.mark.slow
def test_several_workers_may_start_at_once(engine: sa.Engine) -> None:
    uri = engine.url.render_as_string(hide_password=False)
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", START, uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()

    for worker in workers:
        out, err = worker.communicate(timeout=60)
        assert (worker.returncode, out) == (0, "()\n"), err
    with engine.connect() as connection:
        assert len(connection.execute(sa.select(GATE)).all()) == 1


def test_a_ledger_of_a_newer_release_is_left_alone(engine: sa.Engine) -> None:
    upgrade.initialize(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE {upgrade.VERSION_TABLE} SET version_num = '9999'"
        )

    with pytest.raises(TrackingError, match=r"newer normgate.*9999.*Install"):
        upgrade.check(engine)


def test_a_database_without_a_registry_is_refused(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    for uri in (f"sqlite:///{tmp_path}/empty.db", postgresql.create(bare=True)):
        engine = sa.create_engine(uri, poolclass=sa.NullPool)
        with pytest.raises(TrackingError, match="no registry of MLflow's"):
            upgrade.initialize(engine)
        assert sa.inspect(engine).get_table_names() == []


def test_another_kind_of_database_is_refused() -> None:
    engine = sa.create_mock_engine("mssql+pyodbc://", lambda *_: None)

    with pytest.raises(TrackingError, match=r"SQLite or PostgreSQL.*mssql"):
        upgrade.initialize(engine)  # type: ignore[arg-type]


def test_a_file_that_can_only_be_read_is_told_in_a_sentence(sqlite_uri: str) -> None:
    engine = sa.create_engine(sqlite_uri)
    upgrade.initialize(engine)
    path = sqlite_uri.removeprefix("sqlite:///")
    read_only = sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    upgrade.check(read_only)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER normgate_alias_updated")

    with pytest.raises(
        TrackingError, match=r"normgate ledger upgrade.*: normgate_alias_updated\."
    ):
        upgrade.check(read_only)

    engine.dispose()
    read_only.dispose()


def test_the_tables_may_be_in_a_schema_of_their_own(postgresql: Postgresql) -> None:
    uri = postgresql.create(bare=True)
    owner = sa.create_engine(uri, poolclass=sa.NullPool)
    with owner.begin() as connection:
        connection.exec_driver_sql('CREATE SCHEMA "Team-A"')
    url = f'{uri}?options=-csearch_path%3D"Team-A"'
    store = seed(url)

    with store.engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names("Team-A")
        assert {"normgate_promotions", "model_versions"} <= set(tables)
        assert backstop.wrong(connection) == ()
        assert ("rescue", "champion", 2) in held(connection)
    upgrade.downgrade(store.engine)
    postgresql.drop(uri)
