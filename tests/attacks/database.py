"""The registry's database written to by SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from mlflow.store.db.workspace_move import move_resources
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as Workspaces
from tests.attacks.catalog import (
    PLAIN_MLFLOW,
    SQL_ACCOUNT,
    SQLITE,
    Layer,
    Stage,
    attack,
)

if TYPE_CHECKING:
    from tests.attacks.scene import Scene


ALIASES = "registered_model_aliases (workspace, name, alias, version)"
DROP = "DROP TRIGGER"


# `tests/tracking/ledger/sql_attacks.py` has many more, of one statement.


@attack("Set the alias by SQL", Layer.TRIGGER, holds=SQL_ACCOUNT)
def sql_alias(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        f"UPDATE registered_model_aliases SET version = 2 WHERE name = '{name}'"
    )


@attack(
    "Set the alias by SQL with foreign keys off, before its version exists",
    Layer.TRIGGER,
    holds=SQL_ACCOUNT,
    databases=SQLITE,
)
def sql_alias_in_advance(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        "PRAGMA foreign_keys = OFF",
        "PRAGMA ignore_check_constraints = ON",
        f"INSERT OR REPLACE INTO {ALIASES} VALUES ('default', '{name}', 'next', 9)",
    )


@attack(
    "Write the row of the alias with recursive triggers off, or in a shadow of the "
    "table",
    Layer.TRIGGER,
    holds=SQL_ACCOUNT,
    databases=SQLITE,
)
def sql_shadow_table(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        "PRAGMA recursive_triggers = OFF",
        "CREATE TEMP TABLE registered_model_aliases AS SELECT * FROM "
        "main.registered_model_aliases",
        f"UPDATE temp.registered_model_aliases SET version = 2 WHERE name = '{name}'",
        "INSERT OR REPLACE INTO main.registered_model_aliases SELECT * FROM "
        f"temp.registered_model_aliases WHERE name = '{name}'",
    )


@attack(
    "Point the champion's version at the wrong model's files", Layer.TRIGGER,
    holds=SQL_ACCOUNT,
)  # fmt: skip
def sql_location(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        f"UPDATE model_versions SET storage_location = '{scene.wrong().location}', "
        f"source = '{scene.wrong().source}' WHERE name = '{name}' AND version = 1"
    )


@attack(
    "Exchange the numbers of the champion's version and the wrong one",
    Layer.TRIGGER,
    holds=SQL_ACCOUNT,
)
def sql_version_numbers(scene: Scene, name: str) -> str:
    scene.rescue(name)
    if scene.engine.dialect.name == "sqlite":
        scene.run_sql(f"DELETE FROM model_version_tags WHERE name = '{name}'")
    where = f"WHERE name = '{name}' AND version"
    return scene.sql(
        f"UPDATE model_versions SET version = 7 {where} = 1",
        f"UPDATE model_versions SET version = 1 {where} = 2",
    )


@attack(
    "Write a promotion into the ledger without a verdict", Layer.TRIGGER,
    holds=SQL_ACCOUNT,
)  # fmt: skip
def sql_promotion(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        "INSERT INTO normgate_promotions (workspace, name, target, version, location) "
        f"VALUES ('default', '{name}', 'champion', 2, '{scene.wrong().location}')"
    )


@attack(
    "Change a recorded verdict from refused to allowed", Layer.TRIGGER,
    holds=SQL_ACCOUNT,
)  # fmt: skip
def sql_verdict(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.refusal(name)
    return scene.sql(
        "UPDATE normgate_verdicts SET allowed = TRUE, refusals = '[]' "
        f"WHERE name = '{name}' AND version = 2"
    )


@attack("Rewrite a contract in the ledger", Layer.TRIGGER, holds=SQL_ACCOUNT)
def sql_contract(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql("UPDATE normgate_contracts SET text = '{}'")


@attack(
    "Rewrite the evidence of registration, to exchange files before the promotion",
    Layer.TRIGGER,
    holds=SQL_ACCOUNT,
)
def sql_evidence(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return scene.sql(
        "UPDATE normgate_evidence SET directory_digest = '0' "
        f"WHERE name = '{name}' AND version = 2"
    )


@attack(
    "Set the `normgate.*` tags of the wrong version by SQL, to be taken for allowed",
    Layer.RULES,
    holds=SQL_ACCOUNT,
)
def sql_tags(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.run_sql(
        f"DELETE FROM model_version_tags WHERE name = '{name}' AND version = 2",
        "INSERT INTO model_version_tags (workspace, name, version, key, value) "
        "SELECT workspace, name, 2, key, value FROM model_version_tags "
        f"WHERE name = '{name}' AND version = 1",
    )
    return scene.refusal(name)


@attack(
    "Move the promoted model to another workspace by `mlflow db move-resources`",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def moved_to_another_workspace(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.run_sql("INSERT OR IGNORE INTO workspaces (name) VALUES ('mine')")
    workspaces = Workspaces(scene.database)
    with pytest.raises(sa.exc.DBAPIError) as caught:
        move_resources(
            scene.engine, workspaces, "default", "mine", "registered_models", [name]
        )
    return str(caught.value.orig)
