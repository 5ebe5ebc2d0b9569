"""The database itself refuses, whoever asks it: SQL by hand, and MLflow without us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import IntegrityError
from tests.tracking.ledger.seeding import PLACES, allow, held, prompts, seed
from tests.tracking.ledger.sql_attacks import ATTACKS, INTO_ALIASES, Attack

from mlflow_normgate.ledger import backstop, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.engine import Connection
    from tests.postgresql import Postgresql

CHAMPION, PRODUCTION = ("rescue", "champion", 2), ("rescue", "Production", 3)
LIVE = ("ask", "live", 1)
PROMPTS = {("ask", 1), ("ask", 2)}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    empty_database: Path,
) -> Iterator[SqlAlchemyStore]:
    """MLflow's own store on a gated database, for tests that undo what they do."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("gated") / "mlflow.db"
        path.write_bytes(empty_database.read_bytes())
        yield seed(f"sqlite:///{path}")
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        uri = server.create()
        yield seed(uri)
        server.drop(uri)


@pytest.fixture
def connection(store: SqlAlchemyStore) -> Iterator[Connection]:
    """A transaction by hand, which is undone."""
    store.engine.dispose()  # MLflow turns foreign keys on, for good, in what it opens.
    with store.engine.connect() as found:
        found.exec_driver_sql("BEGIN") if found.dialect.name == "sqlite" else None
        yield found
        found.rollback()


def matching(sentence: str) -> str:
    """A sentence, whichever version it names."""
    return "(this version|.* version .*)".join(map(re.escape, sentence.split("{}")))


@pytest.mark.parametrize(
    ("store", "one"),
    [
        pytest.param(on, one, id=f"{on}-{one.name}")
        for on in ("sqlite", "postgresql")
        for one in ATTACKS
        if on in one.on
    ],
    indirect=["store"],
    scope="module",  # Else the database is made anew for each.
)
def test_sql_by_hand_is_refused(connection: Connection, one: Attack) -> None:
    *before, last = one.sql
    for statement in before:
        done = connection.exec_driver_sql(statement)
        assert done.rowcount > 0 or "OR IGNORE" in statement

    with pytest.raises(IntegrityError) as refused:
        connection.exec_driver_sql(last)

    if one.sentence is not None:
        assert re.search(matching(one.sentence), str(refused.value.orig))


@pytest.mark.parametrize("store", ["sqlite"], indirect=True, scope="module")
@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_a_promoted_model_is_not_renamed_by_hand(
    connection: Connection, foreign_keys: str
) -> None:
    connection.rollback()
    connection.exec_driver_sql(f"PRAGMA foreign_keys = {foreign_keys}")
    connection.exec_driver_sql("BEGIN")
    renamed = "UPDATE {} SET name = 'mine' WHERE name = 'rescue'"
    if foreign_keys == "OFF":  # Nothing follows by itself.
        connection.exec_driver_sql(renamed.format("registered_models"))
    last = {"ON": "registered_models", "OFF": "registered_model_aliases"}

    with pytest.raises(IntegrityError, match="normgate: "):
        connection.exec_driver_sql(renamed.format(last[foreign_keys]))


OPEN = (
    "UPDATE registered_model_aliases SET version = 9 WHERE alias = 'candidate'",
    "UPDATE registered_model_aliases SET alias = 'challenger', version = 3 "
    "WHERE alias = 'candidate'",
    "UPDATE registered_model_aliases SET version = version",
    "UPDATE model_versions SET description = 'better', status = 'READY'",
    "UPDATE model_versions SET current_stage = 'Archived' WHERE version = 1",
    "UPDATE model_versions SET current_stage = NULL WHERE version = 1",
    "UPDATE model_versions SET storage_location = 's3://b' WHERE name = 'old'",
    "UPDATE registered_models SET description = 'd', last_updated_time = 1",
)


@pytest.mark.parametrize("statement", OPEN)
def test_what_promises_nothing_is_left_alone(
    connection: Connection, statement: str
) -> None:
    before = held(connection)

    assert connection.exec_driver_sql(statement).rowcount > 0

    assert held(connection) == before == {CHAMPION, PRODUCTION, LIVE}


ENDING = (
    pytest.param(
        "DELETE FROM registered_model_aliases WHERE alias = 'champion'",
        {PRODUCTION, LIVE},
        id="alias-deleted",
    ),
    pytest.param("DELETE FROM registered_model_aliases", {PRODUCTION}, id="aliases"),
    pytest.param(
        "UPDATE registered_model_aliases SET alias = 'challenger' "
        "WHERE alias = 'champion'",
        {PRODUCTION, LIVE},
        id="alias-made-an-open-one",
    ),
    pytest.param(
        "UPDATE model_versions SET current_stage = 'None' WHERE name = 'rescue'",
        {CHAMPION, LIVE},
        id="stage-left",
    ),
    pytest.param(
        "UPDATE model_versions SET current_stage = 'Archived', version = 7 "
        "WHERE name = 'rescue' AND version = 3",
        {CHAMPION, LIVE},
        id="stage-left-for-another-number",
    ),
    pytest.param(
        "DELETE FROM model_versions WHERE name = 'rescue' AND version = 3",
        {CHAMPION, LIVE},
        id="version-deleted",
    ),
)


@pytest.mark.parametrize(("statement", "left"), ENDING)
def test_a_promotion_ends_with_its_alias_or_stage(
    connection: Connection, statement: str, left: set[tuple[str, str, int]]
) -> None:
    connection.exec_driver_sql(statement)

    assert held(connection) == left


UPDATED = "UPDATE registered_model_aliases SET version = 1 WHERE alias = 'champion'"
REPLACED = f"INSERT OR REPLACE {INTO_ALIASES} ('default', 'rescue', 'champion', 1)"


@pytest.mark.parametrize(
    ("store", "statement"),
    [("sqlite", UPDATED), ("sqlite", REPLACED), ("postgresql", UPDATED)],
    indirect=["store"],
    scope="module",  # Else the database is made anew for each.
)
def test_an_alias_that_moves_ends_the_promotion_that_it_leaves(
    connection: Connection, statement: str
) -> None:
    allow(connection, 1, "champion")
    assert held(connection) >= {CHAMPION, ("rescue", "champion", 1)}

    connection.exec_driver_sql(statement)

    assert held(connection) == {("rescue", "champion", 1), PRODUCTION, LIVE}


def test_several_versions_may_hold_one_stage(connection: Connection) -> None:
    allow(connection, 1, "Production")

    connection.exec_driver_sql(
        "UPDATE model_versions SET current_stage = 'Production' "
        "WHERE name = 'rescue' AND version = 1"
    )

    assert held(connection) >= {PRODUCTION, ("rescue", "Production", 1)}


def test_a_promoted_model_is_renamed_with_its_promotions(
    connection: Connection,
) -> None:
    if connection.dialect.name == "sqlite":
        connection.rollback()
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql("UPDATE normgate_evidence SET name = 'better'")
    for version, target in ((2, "champion"), (3, "Production")):
        allow(connection, version, target, name="better")

    connection.exec_driver_sql(
        "UPDATE registered_models SET name = 'better' WHERE name = 'rescue'"
    )

    renamed = {("better", *CHAMPION[1:]), ("better", *PRODUCTION[1:])}
    assert held(connection) == renamed | {LIVE}


def test_prompts_are_known_from_before_and_after(connection: Connection) -> None:
    assert prompts(connection) == PROMPTS


@pytest.mark.parametrize("store", ["postgresql"], indirect=True, scope="module")
def test_emptied_tables_end_promotions(connection: Connection) -> None:
    connection.exec_driver_sql("TRUNCATE registered_model_aliases")
    assert held(connection) == {PRODUCTION}

    connection.exec_driver_sql("TRUNCATE model_versions CASCADE")

    assert held(connection) == prompts(connection) == set()


# MLflow itself, in an environment without normgate.


@pytest.fixture
def plain(database_uri: str) -> SqlAlchemyStore:
    """MLflow's own store on a gated database."""
    return seed(database_uri)


def test_mlflow_without_normgate_is_refused_in_a_sentence(
    plain: SqlAlchemyStore,
) -> None:
    refusals = (
        (plain.set_registered_model_alias, "rescue", "champion", 1),
        (plain.set_registered_model_alias, "old", "next", 1),
        (plain.transition_model_version_stage, "rescue", 1, "Production", True),
        (plain.transition_model_version_stage, "rescue", 2, "staging", False),
        (plain.rename_registered_model, "rescue", "mine"),
    )
    for call, *arguments in refusals:
        with pytest.raises(MlflowException, match="normgate: ") as refused:
            call(*arguments)
        assert refused.value.get_http_status_code() == 400

    assert plain.get_model_version_by_alias("rescue", "champion").version == 2
    assert plain.get_model_version("rescue", 3).current_stage == "Production"


def test_mlflow_without_normgate_works_on_what_is_not_promoted(
    plain: SqlAlchemyStore,
) -> None:
    plain.set_registered_model_alias("rescue", "candidate", 3)
    plain.set_registered_model_alias("rescue", "challenger", 1)
    plain.transition_model_version_stage("rescue", 1, "Archived", False)
    plain.update_model_version("rescue", 2, "described")
    plain.set_model_version_tag("rescue", 2, ModelVersionTag("seen", "yes"))
    assert plain.create_model_version("rescue", "s3://bucket/next").version == 4
    plain.delete_model_version("rescue", 1)
    plain.set_registered_model_alias("old", "candidate", 1)
    plain.rename_registered_model("old", "older")

    assert plain.get_model_version_by_alias("older", "candidate").version == 1
    plain.delete_registered_model("older")
    with plain.engine.connect() as connection:
        assert held(connection) == {CHAMPION, PRODUCTION, LIVE}


def test_mlflow_without_normgate_may_take_promotions_away(
    plain: SqlAlchemyStore,
) -> None:
    plain.transition_model_version_stage("rescue", 3, "Archived", False)
    plain.delete_model_version("rescue", 2)
    with plain.engine.connect() as connection:
        assert held(connection) == {LIVE}

    plain.delete_registered_model("rescue")


def test_a_model_of_the_same_name_starts_without_promotions(
    plain: SqlAlchemyStore,
) -> None:
    plain.delete_registered_model("rescue")
    with plain.engine.connect() as connection:
        assert held(connection) == {LIVE}
    plain.create_registered_model("rescue")
    for place in reversed(PLACES.values()):
        plain.create_model_version("rescue", place)

    with pytest.raises(MlflowException, match="no allowing verdict"):
        plain.set_registered_model_alias("rescue", "champion", 2)


def test_a_prompt_may_take_the_name_of_a_model_that_was_deleted(
    plain: SqlAlchemyStore,
) -> None:
    plain.delete_registered_model("rescue")
    plain.create_prompt("rescue", "say {{it}}")
    plain.create_prompt_version("rescue", "say {{it}}")

    plain.set_prompt_alias("rescue", "live", 1)

    assert plain.get_prompt_version_by_alias("rescue", "live").version == 1


def test_prompts_stay_as_they_are(plain: SqlAlchemyStore) -> None:
    plain.set_prompt_alias("ask", "live", 2)
    plain.set_prompt_alias("ask", "champion", 1)
    plain.rename_registered_model("ask", "asked")
    assert plain.get_prompt_version_by_alias("asked", "live").version == 2
    plain.delete_prompt_alias("asked", "champion")
    plain.delete_prompt_version("asked", 1)
    with plain.engine.connect() as connection:
        assert held(connection) >= {("asked", "live", 2)}
        assert prompts(connection) == {("asked", 1), ("asked", 2)}

    plain.delete_registered_model("asked")

    with plain.engine.connect() as connection:
        assert held(connection) == {CHAMPION, PRODUCTION}
        assert prompts(connection) == set()


# Triggers that are gone.


def test_every_trigger_that_is_dropped_is_put_back(plain: SqlAlchemyStore) -> None:
    with plain.engine.connect() as connection:
        installed = names(connection)
        assert backstop.ensure(connection) == ()
        for name in installed:
            drop(connection, name)
            assert backstop.wrong(connection) == (name,)
            assert backstop.ensure(connection) == (name,)
            assert names(connection) == installed


def test_a_trigger_that_was_altered_is_put_back(plain: SqlAlchemyStore) -> None:
    alterations = {
        "sqlite": (
            "DROP TRIGGER normgate_alias_updated",
            "CREATE TRIGGER normgate_alias_updated AFTER UPDATE ON "
            "registered_model_aliases BEGIN SELECT 1; END",
            "CREATE TRIGGER normgate_of_an_older_release AFTER UPDATE ON "
            "registered_models BEGIN SELECT 1; END",
        ),
        "postgresql": (
            "ALTER TABLE model_versions DISABLE TRIGGER normgate_model_versions",
            "CREATE OR REPLACE FUNCTION normgate_alias() RETURNS trigger LANGUAGE "
            "plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
            "AS 'BEGIN RETURN NULL; END'",
            "ALTER FUNCTION normgate_promotion() RESET ALL",
            "GRANT EXECUTE ON FUNCTION normgate_version() TO PUBLIC",
            "ALTER FUNCTION normgate_evidence() SECURITY INVOKER",
            "CREATE FUNCTION normgate_old() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'",
        ),
    }
    with plain.engine.begin() as connection:
        for statement in alterations[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        altered = backstop.wrong(connection)
    changed = 2 if connection.dialect.name == "sqlite" else 6
    assert len(altered) == changed

    upgrade.check(plain.engine)

    with plain.engine.connect() as connection:
        assert backstop.wrong(connection) == ()
    with pytest.raises(MlflowException, match="normgate: "):
        plain.set_registered_model_alias("rescue", "champion", 1)


def test_what_happened_without_triggers_is_caught_up_with(
    plain: SqlAlchemyStore,
) -> None:
    with plain.engine.begin() as connection:
        backstop.remove(connection)
    plain.delete_registered_model_alias("rescue", "champion")
    plain.transition_model_version_stage("rescue", 3, "None", False)
    plain.set_registered_model_alias("rescue", "next", 1)
    plain.create_prompt_version("ask", "third {{question}}")
    plain.set_prompt_alias("ask", "next", 3)

    upgrade.check(plain.engine)

    with plain.engine.connect() as connection:
        assert held(connection) == {LIVE, ("ask", "next", 3)}
        assert prompts(connection) == {*PROMPTS, ("ask", 3)}


def names(connection: Connection) -> set[str]:
    """Every trigger of normgate's that the database has."""
    catalog = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' "
        "AND name LIKE 'normgate%'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgname ILIKE 'normgate%%'",
    }[connection.dialect.name]
    return {row[0] for row in connection.exec_driver_sql(catalog)}


def drop(connection: Connection, name: str) -> None:
    """Drop one trigger."""
    place = ""
    if connection.dialect.name == "postgresql":
        find = f"SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = '{name}'"
        place = f" ON {connection.exec_driver_sql(find).scalar_one()}"
    connection.exec_driver_sql(f'DROP TRIGGER "{name}"{place}')
