"""Ways to ask for a promotion of what the contract does not allow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click
import mlflow.cli
import pytest
from mlflow.server import handlers
from tests.attacks.catalog import Layer, attack
from tests.attacks.scene import AJAX, API, JSON, Answer, refused

from mlflow_normgate.registry import resolve
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.scene import Scene


@attack("Set the alias by the Python client", Layer.RULES)
def alias_by_client(scene: Scene, name: str) -> str:
    return scene.refusal(scene.rescue(name))


@attack("Set the alias through `/api/2.0`", Layer.RULES)
def alias_by_api(scene: Scene, name: str) -> str:
    body = {"name": scene.rescue(name), "alias": "champion", "version": "2"}
    return refused(scene.ask(f"{API}/registered-models/alias", body))


@attack("Set the alias through `/ajax-api/2.0`, as the UI does", Layer.RULES)
def alias_by_ajax(scene: Scene, name: str) -> str:
    return scene.set_alias(scene.rescue(name))


@attack("Set the alias again and again, for one call to slip through", Layer.RULES)
def alias_repeated(scene: Scene, name: str) -> str:
    scene.rescue(name)
    (said,) = {scene.set_alias(name) for _ in range(10)}
    return said


SPELLINGS = (
    "//api//2.0//mlflow//registered-models//alias",
    "/api/2.0/mlflow/../mlflow/registered-models/alias",
    "/api/2.0/mlflow/registered-models/./alias",
    "/api/2.0/mlflow/registered-models/alias/",
    "/api/2.0/mlflow/registered-models%2falias",
    "/api/2.0/mlflow/registered-models%2Falias",
    "/api/2.0/mlflow/%72egistered-models/alias",
    "/api/2.0/mlflow/registered-models/alias;x=1",
    "/api/2.0/mlflow/registered-models/alias?alias=candidate",
    "/API/2.0/mlflow/registered-models/alias",
    "/api/2.0/mlflow\\registered-models\\alias",
    "/api/2.0/preview/mlflow/registered-models/alias",
    "/api/3.0/mlflow/registered-models/alias",
    "/graphql/../api/2.0/mlflow/registered-models/alias",
)


@attack(
    f"Spell the route in {len(SPELLINGS)} other ways (`//`, `..`, `%2f`, `;`, case, "
    "other versions of the API)",
    Layer.RULES,
)
def alias_by_spellings(scene: Scene, name: str) -> str:
    body = {"name": scene.rescue(name), "alias": "champion", "version": "2"}
    answers = [scene.ask(path, body) for path in SPELLINGS]
    assert {answer.status for answer in answers} <= {308, 400, 403, 404, 405}, answers
    assert scene.champion_of(name) == "1"
    (said,) = {one.sentence for one in answers if one.status == 403}
    return said


@attack("Ask by other HTTP methods, and with `X-HTTP-Method-Override`", Layer.MLFLOW)
def alias_by_other_methods(scene: Scene, name: str) -> str:
    values = {"name": scene.rescue(name), "alias": "champion", "version": "2"}
    path = f"{AJAX}/registered-models/alias"
    override = {**JSON, "X-HTTP-Method-Override": "POST"}
    answers = [
        *(scene.ask(path, values, method=method) for method in ("PUT", "PATCH")),
        scene.ask(path, values, method="GET", headers=override),
        scene.ask(f"{path}?{urlencode(values)}", method="GET"),
        scene.ask(path, values, method="PUT", headers=override),
    ]
    assert scene.champion_of(name) == "1"
    assert answers[0].status == 405
    return answers[0].sentence


@attack(
    "Say two things in one request: a key twice, `modelVersion` beside `version`, a "
    "form, query against body, UTF-16",
    Layer.RULES,
)
def alias_by_ambiguous_bodies(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = f"{AJAX}/registered-models/alias"
    twice = (
        f'{{"name": "{name}", "alias": "candidate", "version": "1", '
        '"alias": "champion", "version": "2"}'
    )
    plain = {"name": name, "alias": "champion", "version": "2"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        scene.ask(path, twice.encode()),
        scene.ask(path, {**plain, "modelVersion": "1", "model_version": "1"}),
        scene.ask(path, urlencode(plain).encode(), headers=form),
        scene.ask(f"{path}?{urlencode({**plain, 'version': '1'})}", plain),
        scene.ask(path, json.dumps(plain).encode("utf-16")),
        scene.ask(path, [plain]),
        scene.ask(path, {**plain, "version": ["2"]}),
        scene.ask(path, {**plain, "version": {"value": "2"}}),
    ]
    assert scene.champion_of(name) == "1"
    (said,) = {one.sentence for one in answers if one.status == 403}
    return said


@attack(
    "Change the legacy stage: Production and Staging, in any case, archiving others",
    Layer.RULES,
)
def stage(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.transition_model_version_stage(name, "1", "Production")
    for api in (API, AJAX):
        for wanted in ("Staging", "staging", "PRODUCTION", "Production"):
            for archive in (False, True):
                body = {
                    "name": name,
                    "version": "2",
                    "stage": wanted,
                    "archive_existing_versions": archive,
                }
                answer = scene.ask(f"{api}/model-versions/transition-stage", body)
                assert answer.status == 403, answer
    # A refused change archives nobody, and an allowed one works.
    assert scene.client.get_model_version(name, "1").current_stage == "Production"
    path = f"{AJAX}/model-versions/transition-stage"
    allowed = {**body, "version": "1", "stage": "Staging"}
    assert scene.ask(path, allowed).status == 200
    return answer.sentence


@attack(
    "Ask for a stage that is none: `Champion`, `Deleted_Internal`, the empty one",
    Layer.MLFLOW,
)
def stage_of_no_name(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = f"{AJAX}/model-versions/transition-stage"
    for wanted in ("Champion", "", "Production ", "Deleted_Internal"):
        body = {"name": name, "version": "2", "stage": wanted}
        said = refused(scene.ask(path, {**body, "archive_existing_versions": False}))
    return said


@attack(
    "Write by GraphQL: introspect its mutations, and try one for an alias",
    Layer.MLFLOW,
)
def graphql(scene: Scene, name: str) -> str:
    scene.rescue(name)
    fields = "mutationType{fields{name}}"
    found = _graphql(scene, f"{{__schema{{{fields}}}}}")
    mutations = json.loads(found.text)["data"]["__schema"]["mutationType"]["fields"]
    names = {one["name"] for one in mutations}
    assert names == {"mlflowSearchDatasets", "mlflowSearchRuns", "testMutation"}
    arguments = f'name: "{name}", alias: "champion", version: "2"'
    answer = _graphql(scene, f"mutation {{setRegisteredModelAlias({arguments}){{x}}}}")
    return str(json.loads(answer.text)["errors"][0])


def _graphql(scene: Scene, query: str) -> Answer:
    return scene.ask("/graphql", {"query": query})


@attack(
    "Find a command of the `mlflow` program that sets an alias or a stage (the tools "
    "of its MCP server are such commands)",
    Layer.MLFLOW,
)
def command_line(scene: Scene, name: str) -> str:
    def commands(
        group: click.Group, path: tuple[str, ...]
    ) -> Iterator[tuple[str, click.Command]]:
        for word, command in sorted(group.commands.items()):
            if isinstance(command, click.Group):
                yield from commands(command, (*path, word))
            else:
                yield " ".join((*path, word)), command

    words = ("alias", "stage", "regist", "promot", "version")
    found = [
        path
        for path, command in commands(mlflow.cli.cli, ())
        if any(word in f"{path} {command.help}".lower() for word in words)
    ]
    # Each was read: none of them sets an alias or a stage by a store.
    return f"Only: {', '.join(found)}."


@attack(
    "Find a route of the installed MLflow that writes aliases or stages and is not "
    "attacked here",
    Layer.RULES,
)
def every_route(scene: Scene, name: str) -> str:
    scene.rescue(name)
    alias = {"name": name, "alias": "champion", "version": "2"}
    stage = {"stage": "Production", "archive_existing_versions": False}
    said = set()
    for path, _, methods in handlers.get_endpoints():
        if not any(word in path for word in ("alias", "stage", "promot")):
            continue
        for method in set(methods) - {"GET", "DELETE", "HEAD", "OPTIONS"}:
            if "<" in path or "webhook" in path:
                continue
            answer = scene.ask(path, {**alias, **stage}, method=method)
            said.add((path.rpartition("/mlflow/")[2], answer.status, answer.sentence))
    routes = {route for route, status, _ in said if status == 403}
    assert routes == {"registered-models/alias", "model-versions/transition-stage"}
    assert {status for _, status, _ in said} == {403}, said
    return max(sentence for _, _, sentence in said)


@attack(
    "Copy the wrong version into the model by the UI's *Promote model*, with all its "
    "tags, and promote the copy",
    Layer.RULES,
)
def copy(scene: Scene, name: str) -> str:
    scene.rescue(name)
    source = scene.client.create_registered_model(f"{name}-source").name
    version = scene.register(source, scene.wrong())
    copied = scene.client.copy_model_version(f"models:/{source}/{version}", name)
    return scene.refusal(name, str(copied.version))


@attack(
    "Copy a good version into a model that no contract is bound to, and promote it "
    "there",
    Layer.RULES,
)
def copy_to_unbound(scene: Scene, name: str) -> str:
    scene.rescue(f"{name}-source")
    copied = scene.client.copy_model_version(f"models:/{name}-source/1", name)
    return scene.refusal(name, str(copied.version))


@attack(
    "Load by an alias that anyone may set: deploy `@candidate`, `@latest`, `/2`",
    Layer.CONSUMER,
)
def deploy_what_is_open(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.set_registered_model_alias(name, "candidate", "2")
    said = []
    for reference in (f"{name}@candidate", f"models:/{name}/2", f"{name}@latest"):
        with pytest.raises(SettingsError) as caught:
            resolve(reference)
        said.append(str(caught.value))
    return said[0]
