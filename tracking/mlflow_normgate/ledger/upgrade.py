"""How the ledger comes into a registry's database, is kept up to date, and goes.

A database that normgate was never initialized in behaves as plain MLflow, even where
normgate is installed. It is initialized, once and for good, by the first of: opening
it with a `normgate+` scheme, adding or binding a contract, registering a bundle,
`normgate server`. What the tables are is told in `migrations`, what the database
refuses in `backstop`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from mlflow_normgate.ledger import backstop
from mlflow_normgate.ledger.reconcile import reconcile
from mlflow_normgate.ledger.tables import GATE
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

VERSION_TABLE = "normgate_alembic_version"
"""MLflow's own migrations, in the same database, use Alembic's default name."""

_MIGRATIONS = "mlflow_normgate:migrations"
_PATIENCE_MS = 20_000
"""As long as MLflow waits for SQLite's lock."""
_LOCK = 0x6E6F726D67617465
"""The advisory lock on PostgreSQL: `normgate` in ASCII."""
_INSUFFICIENT_PRIVILEGE = "42501"
_DIALECTS = ("sqlite", "postgresql")


def is_gated(engine: Engine) -> bool:
    """Whether normgate was ever initialized in a database."""
    return sa.inspect(engine).has_table(GATE.name)


def initialize(engine: Engine) -> None:
    """Bring a database's ledger and triggers up to date, all or nothing.

    Doing so again changes nothing, and several processes may do so at once.

    Raises:
        TrackingError: If the database is not a registry of MLflow's on SQLite or
            PostgreSQL, has a newer ledger, or this account may not change it.
    """
    try:
        with _alone(engine) as connection:
            _require_registry(connection)
            command.upgrade(_config(connection), "head")
            if backstop.ensure(connection):
                reconcile(connection)
    except CommandError as error:
        raise TrackingError(
            f"The ledger in {_shown(engine)} was made by a newer normgate ({error}). "
            "Install that release here."
        ) from error
    except DBAPIError as error:
        raise _explained(engine, error, "it can't be changed") from error


def check(engine: Engine) -> None:
    """Mend what is missing in a gated database, before a store works with it.

    An account without the right to change tables may do so where nothing is missing.

    Raises:
        TrackingError: If something is missing that this account can't mend.
    """
    try:
        with engine.connect() as connection:
            lacks = _lacks(connection)
    except DBAPIError as error:
        raise _explained(engine, error, "it can't be read") from error
    if lacks:
        try:
            initialize(engine)
        except TrackingError as error:
            raise TrackingError(f"{error} Missing or altered: {lacks}.") from error


def downgrade(engine: Engine) -> None:
    """Take everything of normgate out of a database; all that was recorded is lost.

    Raises:
        TrackingError: If this account may not change the database.
    """
    if not is_gated(engine):
        return
    try:
        with _alone(engine) as connection:
            backstop.remove(connection)
            command.downgrade(_config(connection), "base")
            connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    except DBAPIError as error:
        raise _explained(engine, error, "it can't be changed") from error


def _lacks(connection: Connection) -> str:
    """What is not as this release makes it, in words; empty if all is."""
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    )
    script = ScriptDirectory.from_config(_config(connection))
    if context.get_current_revision() != script.get_current_head():
        return "tables of the ledger"
    return ", ".join(backstop.wrong(connection))


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other start of normgate runs beside."""
    if engine.dialect.name not in _DIALECTS:
        raise TrackingError(
            "normgate keeps its ledger in SQLite or PostgreSQL, and the registry is in "
            f"{engine.dialect.name}. Choose one of the two for the registry."
        )
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield connection
        connection.commit()


def _require_registry(connection: Connection) -> None:
    inspector = sa.inspect(connection)
    columns = (
        [column["name"] for column in inspector.get_columns("model_versions")]
        if inspector.has_table("model_versions")
        else []
    )
    if "workspace" not in columns:
        found = "tables of an older MLflow" if columns else "no registry of MLflow's"
        raise TrackingError(
            f"{_shown(connection.engine)} holds {found}. Run `mlflow db upgrade` on it "
            "first."
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.attributes["connection"] = connection
    return config


def _explained(engine: Engine, error: DBAPIError, what: str) -> Exception:
    """The error as a sentence, if it is about this account's rights."""
    state = getattr(error.orig, "sqlstate", None)
    text = str(error.orig).strip().splitlines()[0]
    if state != _INSUFFICIENT_PRIVILEGE and "readonly database" not in text:
        return error
    return TrackingError(
        f"normgate's ledger is in {_shown(engine)}, and {what} by this account: "
        f"{text}. Let an owner of the database run `normgate ledger upgrade --store "
        f"{_shown(engine)}`."
    )


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
