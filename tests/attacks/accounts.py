"""A server that knows its users, and keeps teams in workspaces of their own."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mlflow.utils.workspace_context import WorkspaceContext
from tests.attacks.artifacts import logged_in
from tests.attacks.catalog import SQLITE, Layer, Stage, attack
from tests.attacks.scene import AJAX, JSON, Answer, refused
from tests.attacks.servers import ADMINISTRATOR
from tests.tracking.bundle_files import CONTRACT, second_version

from mlflow_normgate import reserved

if TYPE_CHECKING:
    from typing import Any

    from tests.attacks.scene import Scene

USER, PASSWORD = "scientist", "a long password of hers"
HERS, THEIRS = "accounts-hers", "accounts-theirs"
HEADER = "X-MLFLOW-WORKSPACE"
HOLDS = "an account that may edit"
READER = "an account that may read"


def login(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """What a request of somebody carries."""
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {**JSON, "Authorization": f"Basic {word}"}


def admin() -> dict[str, str]:
    """What a request of the administrator carries."""
    return login(*ADMINISTRATOR.values())


def furnished(scene: Scene) -> str:
    """A model that the user may manage, and one that she may read; made once."""
    path = "/api/2.0/mlflow/users/create"
    body = {"username": USER, "password": PASSWORD}
    if scene.ask(path, body, headers=admin()).status == 200:
        for model, permission in ((HERS, "MANAGE"), (THEIRS, "READ")):
            scene.rescue(model)
            may = {"resource_type": "registered_model", "resource_id": model}
            granted = scene.ask(
                "/api/3.0/mlflow/users/permissions/grant",
                {**may, "username": USER, "permission": permission},
                headers=admin(),
            )
            assert granted.status == 200, granted
    return HERS


def alias(scene: Scene, name: str, **headers: str) -> Answer:
    """Ask for the alias on the wrong version."""
    body = {"name": name, "alias": "champion", "version": "2"}
    path = f"{AJAX}/registered-models/alias"
    return scene.ask(path, body, headers={**login(), **headers})


def bind(scene: Scene, name: str, contract: Any, **headers: str) -> Answer:
    """Bind a contract."""
    text = reserved.binding(contract, "mine")
    body = {"name": name, "key": reserved.BIND, "value": text}
    path = f"{AJAX}/registered-models/set-tag"
    return scene.ask(path, body, headers={**login(), **headers})


@attack(
    "Set the alias as a user who may manage the model",
    Layer.RULES,
    holds=HOLDS,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def user_alias(scene: Scene, name: str) -> str:
    return unchanged(scene, alias(scene, furnished(scene)))


@attack(
    "Set the alias as the server's administrator", Layer.RULES, on=Stage.ACCOUNTS,
    databases=SQLITE,
    holds="an administrator's account",
)  # fmt: skip
def administrator_alias(scene: Scene, name: str) -> str:
    return unchanged(scene, alias(scene, furnished(scene), **admin()))


@attack(
    "Set the alias as a user who may only read",
    Layer.MLFLOW,
    holds=READER,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def reader_alias(scene: Scene, name: str) -> str:
    furnished(scene)
    return unchanged(scene, alias(scene, THEIRS))


@attack(
    "Set the alias without an account, or with made-up headers of one",
    Layer.MLFLOW,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def nobody_alias(scene: Scene, name: str) -> str:
    furnished(scene)
    for more in (
        {"Authorization": ""},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer admin"},
        {"Authorization": "", "X-Forwarded-User": "admin", "Remote-User": "admin"},
        login("admin", "wrong"),
    ):
        answer = alias(scene, HERS, **more)
        assert answer.status == 401, answer
    return unchanged(scene, answer)


@attack(
    "Bind a weaker contract as a user who may manage the model",
    Layer.STORE,
    holds=HOLDS,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def user_binds(scene: Scene, name: str) -> str:
    return unchanged(scene, bind(scene, furnished(scene), second_version()))


@attack(
    "The same with headers that name the administrator",
    Layer.STORE,
    holds=HOLDS,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def user_binds_with_headers(scene: Scene, name: str) -> str:
    spoofed = {"X-Forwarded-User": "admin", "Remote-User": "admin", "From": "admin"}
    answer = bind(scene, furnished(scene), second_version(), **spoofed)
    return unchanged(scene, answer)


@attack(
    "Rename her model to `...*`, for its contract to stand for others too",
    Layer.STORE,
    holds=HOLDS,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def user_renames_to_a_pattern(scene: Scene, name: str) -> str:
    body = {"name": furnished(scene), "new_name": f"{HERS}*"}
    path = f"{AJAX}/registered-models/rename"
    return unchanged(scene, scene.ask(path, body, headers=login()))


def workspace(scene: Scene, name: str) -> str:
    """Make a workspace."""
    path = "/api/3.0/mlflow/workspaces"
    answer = scene.ask(path, {"name": name}, headers=admin())
    assert answer.status in {200, 201}, answer
    return name


@attack(
    "Take a model of the same name in another workspace, which no contract is bound to",
    Layer.RULES,
    holds="an administrator's account",
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def other_workspace(scene: Scene, name: str) -> str:
    there = {**admin(), HEADER: workspace(scene, name)}
    path = f"{AJAX}/registered-models"
    assert scene.ask(f"{path}/create", {"name": name}, headers=there).status == 200
    # Files are of a workspace too; the other one's are registered by a version.
    body = {"name": name, "source": "s3://bucket/x", "run_id": ""}
    made = scene.ask(f"{AJAX}/model-versions/create", body, headers=there)
    assert made.status == 200, made
    wanted = {"name": name, "alias": "champion", "version": "1"}
    return refused(scene.ask(f"{path}/alias", wanted, headers=there))


@attack(
    "Register the good model of one workspace in another, and promote it there",
    Layer.MLFLOW,
    holds="an administrator's account",
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def across_workspaces(scene: Scene, name: str) -> str:
    there = {**admin(), HEADER: workspace(scene, name)}
    path = f"{AJAX}/registered-models"
    assert scene.ask(f"{path}/create", {"name": name}, headers=there).status == 200
    good = scene.right()
    body = {"name": name, "source": good.source, "model_id": good.model_id}
    # MLflow answers with status 500 here, with normgate and without.
    answer = scene.ask(f"{AJAX}/model-versions/create", body, headers=there)
    assert answer.status != 200
    return answer.sentence


@attack(
    "Name a workspace that is none, two of them, or a path, in the header",
    Layer.MLFLOW,
    holds=HOLDS,
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def workspace_header(scene: Scene, name: str) -> str:
    furnished(scene)
    for value in (
        "default,nowhere",
        "../default",
        "default/../nowhere",
        "*",
        "nowhere",
    ):
        said = unchanged(scene, alias(scene, HERS, **{HEADER: value}))
    return said


@attack(
    "Delete a workspace so that its promoted model falls into the default one",
    Layer.TRIGGER,
    holds="an administrator's account",
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def workspace_deleted(scene: Scene, name: str) -> str:
    there = {**admin(), HEADER: workspace(scene, name)}
    path = f"{AJAX}/registered-models"
    mine = f"{name}-mine"
    assert scene.ask(f"{path}/create", {"name": mine}, headers=there).status == 200
    text = reserved.binding(CONTRACT, "there")
    body = {"name": mine, "key": reserved.BIND, "value": text}
    assert scene.ask(f"{path}/set-tag", body, headers=there).status == 200
    promoted = good_in(scene, mine, there)
    wanted = {"name": mine, "alias": "champion", "version": promoted}
    assert scene.ask(f"{path}/alias", wanted, headers=there).status == 200
    gone = f"/api/3.0/mlflow/workspaces/{name}?mode=SET_DEFAULT"
    answer = scene.ask(gone, method="DELETE", headers=admin())
    assert answer.status != 200
    return answer.sentence


def good_in(scene: Scene, name: str, there: dict[str, str]) -> str:
    """Log and register a good model in a workspace; the version's number."""
    with WorkspaceContext(there[HEADER]):
        experiment = scene.client.create_experiment(name)
        return scene.register(name, logged_in(scene, name, experiment))


def unchanged(scene: Scene, answer: Answer) -> str:
    """The sentence of a refusal that left everything as it was."""
    assert scene.champion_of(HERS) == "1"
    return refused(answer)
