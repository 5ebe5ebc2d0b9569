"""The registry's database changed as a whole: its file, its triggers, its past."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import mlflow
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.store.fs2db.cli import migrate_filestore
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from tests.attacks.catalog import (
    DISK,
    OWNER,
    PLAIN_MLFLOW,
    SQLITE,
    Layer,
    Stage,
    attack,
)
from tests.attacks.database import DROP
from tests.attacks.scene import told

from mlflow_normgate.store import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.scene import Scene

    from mlflow_normgate.store import GatedStore


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
