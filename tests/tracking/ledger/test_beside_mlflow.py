"""MLflow's own migrations, and accounts with fewer rights, beside the backstop."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import (
    _get_alembic_config,
    _get_schema_version,
    _upgrade_db,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.exc import IntegrityError, ProgrammingError
from tests.tracking.ledger.seeding import PLACES, allow, held, seed

from mlflow_normgate.ledger import backstop, upgrade
from mlflow_normgate.ledger.tables import METADATA
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine
    from tests.postgresql import Postgresql

BEFORE_WORKSPACE_INDEXES = "ae8bbe7743c9"
HELD = {("rescue", "champion", 2), ("rescue", "Production", 3), ("ask", "live", 1)}


@pytest.fixture
def plain(database_uri: str) -> SqlAlchemyStore:
    """MLflow's own store on a gated database."""
    return seed(database_uri)


def upgrade_mlflow(store: SqlAlchemyStore) -> None:
    """What `mlflow db upgrade` does."""
    _upgrade_db(sa.create_engine(store.engine.url, poolclass=sa.NullPool))


def as_it_was(store: SqlAlchemyStore) -> None:
    """Nothing was lost, and the next start refuses as before."""
    upgrade.check(store.engine)
    with store.engine.connect() as connection:
        assert backstop.wrong(connection) == ()
        assert held(connection) == HELD
    with pytest.raises(MlflowException, match="normgate: "):
        store.set_registered_model_alias("rescue", "champion", 1)
    assert store.get_model_version_by_alias("rescue", "champion").version == 2


def test_mlflow_upgrades_a_gated_database_that_is_up_to_date(
    plain: SqlAlchemyStore,
) -> None:
    upgrade_mlflow(plain)

    with plain.engine.connect() as connection:
        assert backstop.wrong(connection) == ()
    as_it_was(plain)


def test_mlflow_upgrades_a_gated_database_of_an_older_mlflow(
    plain: SqlAlchemyStore,
) -> None:
    newest = _get_schema_version(plain.engine)
    config = _get_alembic_config(plain.engine.url.render_as_string(False))
    with plain.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE_WORKSPACE_INDEXES)
    assert _get_schema_version(plain.engine) == BEFORE_WORKSPACE_INDEXES

    upgrade_mlflow(plain)

    assert _get_schema_version(plain.engine) == newest
    as_it_was(plain)


def test_a_migration_may_make_mlflows_tables_anew(sqlite_uri: str) -> None:
    store = seed(sqlite_uri)
    recreated = ("registered_model_aliases", "model_versions")
    store.engine.dispose()
    with store.engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        for table in recreated:
            with operations.batch_alter_table(table, recreate="always") as batch:
                batch.add_column(sa.Column("new_in_mlflow", sa.String(20)))
        connection.commit()
        assert len(backstop.wrong(connection)) == 6
    store.engine.dispose()

    as_it_was(store)


def test_mlflow_takes_its_workspaces_back_and_forth(sqlite_uri: str) -> None:
    """Its largest migration makes anew every table that the triggers are on."""
    store = seed(sqlite_uri)
    config = _get_alembic_config(sqlite_uri)
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "c8d9e0f1a2b3")
    with pytest.raises(TrackingError, match="mlflow db upgrade"):
        upgrade.check(store.engine)

    upgrade_mlflow(store)

    as_it_was(store)


# An application's account on PostgreSQL.


@pytest.fixture
def gated(postgresql_uri: str) -> SqlAlchemyStore:
    """MLflow's own store, as the owner of everything."""
    return seed(postgresql_uri)


@pytest.fixture
def application(
    gated: SqlAlchemyStore, postgresql: Postgresql
) -> Iterator[SqlAlchemyStore]:
    """MLflow's own store, as an account that owns nothing and reads the ledger."""
    owner = gated.engine.url.render_as_string(False)
    uri = postgresql.as_role(owner, "application")
    with gated.engine.begin() as connection:
        for table in sa.inspect(connection).get_table_names():
            rights = "SELECT" if table.startswith("normgate_") else "ALL"
            connection.exec_driver_sql(f"GRANT {rights} ON {table} TO application")
        connection.exec_driver_sql(
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO application"
        )
        name = gated.engine.url.database
        connection.exec_driver_sql(f"GRANT ALL ON DATABASE {name} TO application")
    store = SqlAlchemyStore(uri)
    yield store
    store.engine.dispose()


def test_an_account_without_ddl_starts_where_nothing_is_missing(
    application: SqlAlchemyStore, gated: SqlAlchemyStore
) -> None:
    upgrade.check(application.engine)

    with gated.engine.begin() as connection:
        connection.exec_driver_sql(
            "DROP TRIGGER normgate_model_versions ON model_versions"
        )

    with pytest.raises(TrackingError) as refused:
        upgrade.check(application.engine)
    assert "normgate ledger upgrade --store postgresql://application@" in str(
        refused.value
    )
    assert "altered: normgate_model_versions." in str(refused.value)


def test_an_account_that_may_not_read_the_ledger_is_told_so(
    application: SqlAlchemyStore, gated: SqlAlchemyStore
) -> None:
    with gated.engine.begin() as connection:
        connection.exec_driver_sql(
            f"REVOKE ALL ON {upgrade.VERSION_TABLE} FROM application"
        )

    with pytest.raises(TrackingError, match="it can't be read by this account"):
        upgrade.check(application.engine)


FORGERIES = (
    *(f"DELETE FROM {table}" for table in METADATA.tables),
    "INSERT INTO normgate_prompts VALUES ('default', 'rescue', 1)",
    "INSERT INTO normgate_promotions (workspace, name, target, version) "
    "VALUES ('default', 'rescue', 'champion', 1)",
    "TRUNCATE normgate_promotions",
    "DROP TRIGGER normgate_model_versions ON model_versions",
    "ALTER TABLE model_versions DISABLE TRIGGER ALL",
    "DROP FUNCTION normgate_alias() CASCADE",
    "SET session_replication_role = replica",
    "CREATE TRIGGER mine AFTER INSERT ON registered_model_tags FOR EACH ROW "
    "EXECUTE FUNCTION normgate_version()",
    "CREATE TEMP TABLE mine (workspace text, name text, version int, source text, "
    "current_stage text, storage_location text); CREATE TRIGGER mine AFTER INSERT "
    "ON mine FOR EACH ROW EXECUTE FUNCTION normgate_version()",
)


@pytest.mark.parametrize("statement", FORGERIES)
def test_the_account_may_not_touch_the_ledger(
    application: SqlAlchemyStore, statement: str
) -> None:
    with (
        application.engine.connect() as connection,
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
    ):
        connection.exec_driver_sql(statement)


SHADOW = (
    "CREATE {0} normgate_promotions AS SELECT * FROM public.normgate_promotions",
    "UPDATE {1}normgate_promotions SET version = 1 WHERE target = 'champion'",
    "CREATE {0} normgate_prompts AS SELECT * FROM public.normgate_promotions",
)
MOVED = "UPDATE public.registered_model_aliases SET version = 1 WHERE alias='champion'"
DECEPTIONS = (
    pytest.param(
        tuple(one.format("TEMP TABLE", "pg_temp.") for one in SHADOW),
        id="temporary-tables",
    ),
    pytest.param(
        (
            "CREATE SCHEMA application",
            "SET search_path = application, public",
            *(one.format("TABLE", "application.") for one in SHADOW),
        ),
        id="tables-in-a-schema-of-its-own",
    ),
    pytest.param(
        (
            "CREATE FUNCTION pg_temp.late() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN NEW.version := 1; RETURN NEW; END'",
            "CREATE TRIGGER zzz BEFORE UPDATE ON registered_model_aliases "
            "FOR EACH ROW EXECUTE FUNCTION pg_temp.late()",
        ),
        id="a-trigger-that-changes-the-row-after-the-others",
    ),
)


@pytest.mark.parametrize("statements", DECEPTIONS)
def test_the_account_does_not_deceive_the_triggers(
    application: SqlAlchemyStore, statements: tuple[str, ...]
) -> None:
    with application.engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)

        with pytest.raises(IntegrityError, match="has no allowing verdict"):
            connection.exec_driver_sql(MOVED)


def test_a_renaming_that_did_not_happen_declares_no_prompts(
    application: SqlAlchemyStore,
) -> None:
    with application.engine.connect() as connection:
        for statement in (
            "CREATE FUNCTION pg_temp.none() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER zzz BEFORE UPDATE ON registered_models FOR EACH ROW "
            "EXECUTE FUNCTION pg_temp.none()",
            "UPDATE registered_models SET name = 'old' WHERE name = 'ask'",
        ):
            connection.exec_driver_sql(statement)

        with pytest.raises(IntegrityError, match="has no allowing verdict"):
            connection.exec_driver_sql(
                "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
                " VALUES ('default', 'old', 'next', 1)"
            )


def test_the_account_may_copy_in_no_alias(application: SqlAlchemyStore) -> None:
    uri = application.engine.url.render_as_string(False)
    columns = "registered_model_aliases (workspace, name, alias, version)"

    def copy(alias: str) -> None:
        with (
            psycopg.connect(uri) as connection,
            connection.cursor().copy(f"COPY {columns} FROM STDIN") as rows,
        ):
            rows.write_row(("default", "rescue", alias, 1))

    copy("challenger")
    with pytest.raises(psycopg.errors.CheckViolation, match="normgate: "):
        copy("next")


def test_the_account_works_as_mlflow_does(application: SqlAlchemyStore) -> None:
    with pytest.raises(MlflowException, match="normgate: ") as refused:
        application.set_registered_model_alias("rescue", "champion", 1)
    assert refused.value.get_http_status_code() == 400
    application.create_prompt_version("ask", "third {{question}}")
    application.set_prompt_alias("ask", "live", 3)
    application.delete_registered_model_alias("rescue", "champion")
    application.delete_model_version("rescue", 3)

    with application.engine.connect() as connection:
        assert held(connection) == {("ask", "live", 3)}


# Two at once on PostgreSQL; on SQLite there is one writer.


def second(engine: Engine, statement: str) -> tuple[threading.Thread, list[Any]]:
    """Run a statement beside another transaction, and keep what came of it."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            with engine.begin() as connection:
                outcome.append(connection.exec_driver_sql(statement).rowcount)
        except IntegrityError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def wait_until_blocked(connection: Connection) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 30
    while connection.execute(waiting).scalar_one() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


MOVE = "UPDATE model_versions SET storage_location = 's3://b' WHERE version = 1"
PROMOTE = "UPDATE registered_model_aliases SET version = 1 WHERE alias = 'champion'"


def test_a_version_that_is_being_promoted_is_not_moved(gated: SqlAlchemyStore) -> None:
    with gated.engine.connect() as connection:
        allow(connection, 1, "champion")
        thread, outcome = second(gated.engine, MOVE + " AND name = 'rescue'")
        wait_until_blocked(connection)
        connection.exec_driver_sql(PROMOTE)
        connection.commit()

    thread.join()
    assert "is promoted, so it must stay" in str(outcome[0])


def test_a_version_that_is_being_moved_is_not_promoted(gated: SqlAlchemyStore) -> None:
    outcome: list[Any] = []

    def promote() -> None:
        try:
            with gated.engine.begin() as connection:
                allow(connection, 1, "champion", location=PLACES[1])
                connection.exec_driver_sql(PROMOTE)
        except IntegrityError as error:
            outcome.append(error)

    with gated.engine.connect() as connection:
        connection.exec_driver_sql(MOVE + " AND name = 'rescue'")
        thread = threading.Thread(target=promote)
        thread.start()
        wait_until_blocked(connection)
        connection.commit()

    thread.join()
    assert "must name the place" in str(outcome[0])


def test_an_alias_whose_promotion_is_being_ended_is_not_set_again(
    gated: SqlAlchemyStore,
) -> None:
    again = (
        "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
        "VALUES ('default', 'rescue', 'champion', 2)"
    )
    with gated.engine.connect() as connection:
        connection.exec_driver_sql(
            "DELETE FROM registered_model_aliases WHERE alias = 'champion'"
        )
        thread, outcome = second(gated.engine, again)
        wait_until_blocked(connection)
        connection.commit()

    thread.join()
    assert "has no allowing verdict" in str(outcome[0])
