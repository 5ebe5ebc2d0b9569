"""The registry's database written to by others: plain MLflow, SQL, its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import mlflow
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.store.db.workspace_move import move_resources
from mlflow.store.fs2db.cli import migrate_filestore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as Workspaces
from tests.attacks.catalog import (
    DISK,
    OWNER,
    PLAIN_MLFLOW,
    SQL_ACCOUNT,
    SQLITE,
    Layer,
    Stage,
    attack,
)
from tests.attacks.scene import AJAX, refused, told
from tests.attacks.servers import HIDDEN
from tests.tracking.conftest import clean_environment

from mlflow_normgate.store import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.scene import Scene

    from mlflow_normgate.store import GatedStore

ALIASES = "registered_model_aliases (workspace, name, alias, version)"
DROP = "DROP TRIGGER"


@attack(
    "Start `mlflow server` without normgate on the database, and set the alias there",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
)
def plain_server_alias(scene: Scene, name: str) -> str:
    body = {"name": scene.rescue(name), "alias": "champion", "version": "2"}
    path = f"{AJAX}/registered-models/alias"
    return refused(scene.ask(path, body, at=scene.without()))


@attack("Change a stage there", Layer.TRIGGER, holds=PLAIN_MLFLOW)
def plain_server_stage(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.transition_model_version_stage(name, "1", "Production")
    body = {"name": name, "version": "2", "stage": "production"}
    path = f"{AJAX}/model-versions/transition-stage"
    # With psycopg 3 MLflow itself can't archive others at the same time.
    more = {"archive_existing_versions": scene.engine.dialect.name == "sqlite"}
    said = refused(scene.ask(path, {**body, **more}, at=scene.without()))
    assert scene.client.get_model_version(name, "1").current_stage == "Production"
    return said


@attack(
    "Register a good version there, which then has no evidence, and promote it behind "
    "the gate",
    Layer.RULES,
    holds=PLAIN_MLFLOW,
)
def plain_server_registers(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.right()
    body = {"name": name, "source": logged.source, "model_id": logged.model_id}
    made = scene.ask(f"{AJAX}/model-versions/create", body, at=scene.without())
    assert made.status == 200, made
    return scene.refusal(name, "3")


@attack(
    "Register a wrong version there with the tags of a good one, and promote it behind "
    "the gate",
    Layer.RULES,
    holds=PLAIN_MLFLOW,
)
def plain_server_forges_tags(scene: Scene, name: str) -> str:
    scene.rescue(name)
    wrong, good = scene.wrong(), scene.client.get_model_version(name, "1").tags
    tags = [{"key": key, "value": value} for key, value in good.items()]
    body = {"name": name, "source": wrong.source, "model_id": wrong.model_id}
    path = f"{AJAX}/model-versions/create"
    made = scene.ask(path, {**body, "tags": tags}, at=scene.without())
    assert made.status == 200, made
    return scene.refusal(name, "3")


@attack(
    "Rename the promoted model there, to a name without a contract",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
)
def plain_server_renames(scene: Scene, name: str) -> str:
    body = {"name": scene.rescue(name), "new_name": f"{name}-mine"}
    return refused(
        scene.ask(f"{AJAX}/registered-models/rename", body, at=scene.without())
    )


@attack(
    "Delete the model there and make it anew, so that a wrong version is number 1",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
)
def plain_server_makes_anew(scene: Scene, name: str) -> str:
    scene.rescue(name)
    at, wrong = scene.without(), scene.wrong()
    body = {"name": name, "source": wrong.source, "model_id": wrong.model_id}
    for method, path, sent in (
        ("DELETE", "registered-models/delete", {"name": name}),
        ("POST", "registered-models/create", {"name": name}),
        ("POST", "model-versions/create", body),
    ):
        answer = scene.ask(f"{AJAX}/{path}", sent, method=method, at=at)
        assert answer.status == 200, answer
    alias = {"name": name, "alias": "champion", "version": "1"}
    return refused(scene.ask(f"{AJAX}/registered-models/alias", alias, at=at))


@attack(
    "Turn a model into a prompt there, set its alias there, resolve it behind the gate",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
)
def plain_server_disguises(scene: Scene, name: str) -> str:
    scene.rescue(name)
    at = scene.without()
    tag = {"name": name, "key": "mlflow.prompt.is_prompt", "value": "true"}
    assert scene.ask(f"{AJAX}/registered-models/set-tag", tag, at=at).status == 200
    alias = {"name": name, "alias": "champion", "version": "2"}
    said = refused(scene.ask(f"{AJAX}/registered-models/alias", alias, at=at))
    behind = refused(scene.ask(f"{AJAX}/registered-models/alias", alias))
    assert behind.startswith("Promotion of")
    return said


@attack(
    "Use MLflow's own store class in a script, past the plugin",
    Layer.TRIGGER,
    holds=PLAIN_MLFLOW,
)
def plain_store(scene: Scene, name: str) -> str:
    scene.rescue(name)
    store = SqlAlchemyStore(scene.database)
    try:
        return told(lambda: store.set_registered_model_alias(name, "champion", "2"))
    finally:
        store._dispose_engine()


@attack(
    "Open a `normgate+` registry where normgate is not installed",
    Layer.MLFLOW,
    holds=PLAIN_MLFLOW,
    databases=SQLITE,
)
def plain_client_of_the_gated_scheme(scene: Scene, name: str) -> str:
    script = (
        "import sys, mlflow\n"
        "client = mlflow.MlflowClient(registry_uri='normgate+' + sys.argv[1])\n"
        "client.set_registered_model_alias(sys.argv[2], 'champion', '2')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, scene.database, scene.rescue(name)],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(**HIDDEN),
    )
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


# SQL by hand. `tests/tracking/ledger/sql_attacks.py` has many more, of one statement.


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


@attack(
    "Overwrite the whole file of the database by `mlflow migrate-filestore`, with an "
    "alias in it",
    Layer.READ_SIDE,
    holds=DISK,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def file_overwritten(scene: Scene, name: str) -> str:
    folder = scene.folder / name
    model = folder / "old" / "mlruns" / "models" / name
    (model / "version-1").mkdir(parents=True)
    (model / "aliases").mkdir()
    (folder / "old" / "mlruns" / "0").mkdir()
    experiment = "{artifact_location: /x, experiment_id: '0', name: Default, "
    (folder / "old" / "mlruns" / "0" / "meta.yaml").write_text(
        experiment + "lifecycle_stage: active}"
    )
    (model / "meta.yaml").write_text(f"name: {name}\ncreation_timestamp: 0\n")
    (model / "aliases" / "champion").write_text("1")
    (model / "version-1" / "meta.yaml").write_text(
        f"{{name: {name}, version: '1', source: {folder}, storage_location: {folder}, "
        "creation_timestamp: 0, current_stage: None, status: READY}"
    )
    database = folder / "mlflow.db"
    shutil.copyfile(scene.folder / "mlflow.db", database)
    words = ["--source", str(folder / "old"), "--target", f"sqlite:///{database}"]
    done = CliRunner().invoke(migrate_filestore, words, input="y\n")
    assert done.exit_code == 0, done.output
    uri = f"sqlite:///{database}"
    client = MlflowClient(uri, f"normgate+{uri}")
    return told(lambda: client.get_model_version_by_alias(name, "champion"))


@attack(
    "Drop the triggers, set the alias, and resolve it behind the gate",
    Layer.READ_SIDE,
    holds=OWNER,
    databases=SQLITE,
)
def triggers_dropped(scene: Scene, name: str) -> str:
    scene.rescue(name)
    with scene.engine.begin() as connection:
        query = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = list(connection.exec_driver_sql(query).scalars())
        for one in triggers:
            connection.exec_driver_sql(f"{DROP} {one.split()[2]}")
        connection.exec_driver_sql(
            f"UPDATE registered_model_aliases SET version = 2 WHERE name = '{name}'"
        )
        for one in triggers:
            connection.exec_driver_sql(one)
    return told(lambda: scene.served(name, "champion"))


@attack(
    "Drop the triggers for good: they are put back when a store opens the database",
    Layer.TRIGGER,
    holds=OWNER,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def triggers_dropped_for_good(scene: Scene, name: str) -> str:
    folder = scene.folder / name
    folder.mkdir()
    shutil.copyfile(scene.folder / "mlflow.db", folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    plain = SqlAlchemyStore(uri)
    with plain.engine.begin() as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for one in list(connection.exec_driver_sql(query).scalars()):
            connection.exec_driver_sql(f"{DROP} {one}")
    build(uri)
    plain.create_registered_model(name)
    plain.create_model_version(name, "s3://bucket/x")
    said = told(lambda: plain.set_registered_model_alias(name, "champion", "1"))
    plain._dispose_engine()
    return said


@attack(
    "Spell the database's address otherwise (`sqlite+pysqlite:`), past the plugin's "
    "schemes",
    Layer.RULES,
    holds=PLAIN_MLFLOW,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def other_spelling_of_the_address(scene: Scene, name: str) -> str:
    scene.rescue(name)
    uri = scene.database.replace("sqlite:", "sqlite+pysqlite:")
    client = MlflowClient(mlflow.get_tracking_uri(), uri)
    said = told(lambda: client.set_registered_model_alias(name, "champion", "2"))
    assert os.environ.get("MLFLOW_REGISTRY_URI") is None
    return said


@attack(
    "Set an alias before there is a gate, and have it resolved when there is one",
    Layer.READ_SIDE,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def alias_from_before(scene: Scene, name: str) -> str:
    with before_the_gate(scene, name) as (plain, gated):
        plain.set_registered_model_alias(name, "champion", "1")
        gated.initialize()
        return told(lambda: gated.get_model_version_by_alias(name, "champion"))


@attack(
    "Set a stage before there is a gate, and load from it when there is one",
    Layer.READ_SIDE,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def stage_from_before(scene: Scene, name: str) -> str:
    with before_the_gate(scene, name) as (plain, gated):
        plain.transition_model_version_stage(name, "1", "Production", False)
        gated.initialize()
        return told(lambda: gated.get_latest_versions(name, ["Production"]))


@contextmanager
def before_the_gate(
    scene: Scene, name: str
) -> Iterator[tuple[SqlAlchemyStore, GatedStore]]:
    """A database that is not yet normgate's, with a model: MLflow's store and ours."""
    uri = scene.empty(name)
    plain, gated = SqlAlchemyStore(uri), build(uri)
    plain.create_registered_model(name)
    plain.create_model_version(name, "s3://bucket/x")
    yield plain, gated
    plain._dispose_engine()
    gated._dispose_engine()
