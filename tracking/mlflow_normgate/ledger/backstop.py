"""The backstop: triggers by which the database itself refuses, whoever asks it.

* A protected alias or stage stands only on a version that has a promotion of that name
  or, for aliases, on one of a prompt, which has no files. The names of stages can be
  no aliases, so that a promotion is of the one or of the other.
* A promotion rests on an allowing verdict: same version, target, digests, contract.
* A promoted version stays at the location that was verified. A prompt's version stays
  without files, and an alias that it holds is no way in for a model in its place.
* Taking the alias or stage away, or moving it, ends its promotion.
* Contracts, bindings and verdicts are only ever added. Evidence is never rewritten,
  and not even deleted while its version is promoted.

MLflow's own migrations may drop what stands on MLflow's tables; `ensure` puts it back.
What the triggers say is in `sqlite`, `postgresql` and their siblings, lists and
sentences in `rules`. Who may alter the database's
schema can drop all of it; on SQLite that is everyone who can write the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mlflow_normgate.ledger import (
    postgresql,
    postgresql_ledger,
    sqlite,
    sqlite_ledger,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SEARCH_PATH = "pg_catalog, pg_temp"
"""What functions on PostgreSQL see besides names with a schema."""

_SQLITE = sqlite.TRIGGERS | sqlite_ledger.TRIGGERS
_FUNCTIONS = postgresql.FUNCTIONS | postgresql_ledger.FUNCTIONS
_TRIGGERS = postgresql.TRIGGERS + postgresql_ledger.TRIGGERS

_SQLITE_FOUND = """
SELECT name, sql FROM sqlite_master
WHERE type = 'trigger' AND name LIKE 'normgate^_%' ESCAPE '^'
"""
_SCHEMAS = sa.text("""
SELECT quote_ident(ledger.nspname), quote_ident(registry.nspname)
FROM pg_class AS promotions JOIN pg_namespace AS ledger
  ON ledger.oid = promotions.relnamespace,
  pg_class AS versions JOIN pg_namespace AS registry
  ON registry.oid = versions.relnamespace
WHERE promotions.oid = to_regclass('normgate_promotions')
  AND versions.oid = to_regclass('model_versions')
""")
_FUNCTIONS_FOUND = sa.text("""
SELECT proname AS name, prosrc AS body,
  prosecdef AND lanname = 'plpgsql' AND proconfig = ARRAY[:path]
    AND NOT has_function_privilege('public', pg_proc.oid, 'EXECUTE') AS as_made
FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
WHERE pronamespace = CAST(:ledger AS regnamespace) AND pronargs = 0
  AND prorettype = 'trigger'::regtype AND starts_with(proname, 'normgate_')
""")
_TRIGGERS_FOUND = sa.text("""
SELECT tgname AS name, quote_ident(nspname) || '.' || quote_ident(relname) AS place,
  tgtype AS moment, proname AS function,
  tgenabled = 'O' AND tgqual IS NULL AND tgattr = '' AND NOT tgdeferrable
    AND pronamespace = CAST(:ledger AS regnamespace) AS as_made
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE NOT tgisinternal AND starts_with(lower(tgname), 'normgate_')
  AND pg_namespace.oid
    IN (CAST(:ledger AS regnamespace), CAST(:registry AS regnamespace))
""")


def install(connection: Connection) -> None:
    """Create every trigger anew, in place of what is there."""
    remove(connection)
    if connection.dialect.name == "sqlite":
        for statement in _SQLITE.values():
            connection.exec_driver_sql(statement)
    else:
        _create_postgresql(connection)


def ensure(connection: Connection) -> tuple[str, ...]:
    """Create what is missing or not as it should be.

    Returns:
        The names of what was; empty if all stood as it should.
    """
    names = wrong(connection)
    if names:
        install(connection)
    return names


def wrong(connection: Connection) -> tuple[str, ...]:
    """What is missing, altered, disabled or of another release; nothing is changed."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(_SQLITE_FOUND)
        differing = {(row.name, row.sql) for row in found} ^ {*_SQLITE.items()}
        return tuple(sorted({name for name, _ in differing}))
    return tuple(sorted({one[0] for one in _found(connection) ^ _made(connection)}))


def remove(connection: Connection) -> None:
    """Drop every trigger and function whose name is normgate's."""
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql(_SQLITE_FOUND).all():
            connection.exec_driver_sql(f'DROP TRIGGER "{row.name}"')
        return
    schemas = _schemas(connection)
    for row in connection.execute(_TRIGGERS_FOUND, schemas).all():
        connection.exec_driver_sql(f'DROP TRIGGER "{row.name}" ON {row.place}')
    for row in connection.execute(_FUNCTIONS_FOUND, schemas | {"path": ""}).all():
        connection.exec_driver_sql(f'DROP FUNCTION {schemas["ledger"]}."{row.name}"()')


def _create_postgresql(connection: Connection) -> None:
    schemas = _schemas(connection)
    for name, body in _bodies(schemas).items():
        function = f"{schemas['ledger']}.{name}()"
        connection.exec_driver_sql(
            f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY "
            f"DEFINER SET search_path = {SEARCH_PATH} AS $normgate${body}$normgate$"
        )
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    for trigger in _TRIGGERS:
        connection.exec_driver_sql(
            f'CREATE TRIGGER "{trigger.name}" {trigger.clause} '
            f"ON {_place(trigger, schemas)} {trigger.level} "
            f"EXECUTE FUNCTION {schemas['ledger']}.{trigger.function}()"
        )


def _made(connection: Connection) -> set[tuple[Any, ...]]:
    """What should be found on PostgreSQL."""
    schemas = _schemas(connection)
    bodies = _bodies(schemas)
    triggers = (
        (one.name, _place(one, schemas), one.moment, one.function, True)
        for one in _TRIGGERS
    )
    return {*triggers, *((name, body, True) for name, body in bodies.items())}


def _found(connection: Connection) -> set[tuple[Any, ...]]:
    schemas = _schemas(connection)
    functions = connection.execute(
        _FUNCTIONS_FOUND, schemas | {"path": f"search_path={SEARCH_PATH}"}
    )
    triggers = connection.execute(_TRIGGERS_FOUND, schemas)
    return {tuple(row) for row in (*functions, *triggers)}


def _bodies(schemas: dict[str, str]) -> dict[str, str]:
    return {
        name: body.replace("LEDGER.", f"{schemas['ledger']}.").replace(
            "REGISTRY.", f"{schemas['registry']}."
        )
        for name, body in _FUNCTIONS.items()
    }


def _place(trigger: postgresql.Trigger, schemas: dict[str, str]) -> str:
    own = trigger.table.startswith("normgate_")
    return f"{schemas['ledger' if own else 'registry']}.{trigger.table}"


def _schemas(connection: Connection) -> dict[str, str]:
    """Where the ledger's and MLflow's tables are, quoted where that is needed."""
    row = connection.execute(_SCHEMAS).one()
    return {"ledger": row[0], "registry": row[1]}
