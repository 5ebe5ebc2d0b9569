"""The registry written to by MLflow without normgate."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from tests.attacks.catalog import (
    PLAIN_MLFLOW,
    SQLITE,
    Layer,
    attack,
)
from tests.attacks.scene import AJAX, refused, told
from tests.attacks.servers import HIDDEN
from tests.tracking.conftest import clean_environment

if TYPE_CHECKING:
    from tests.attacks.scene import Scene


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
