"""Registered models renamed, deleted and disguised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.attacks.catalog import Layer, attack
from tests.attacks.scene import AJAX, refused, told
from tests.tracking.bundle_files import CONTRACT, FLUORESCENCE

from mlflow_normgate import reserved
from mlflow_normgate.registry import resolve
from normgate.errors import NormgateError

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

PROMPT = "mlflow.prompt.is_prompt"


def rename(scene: Scene, name: str, new_name: str) -> str:
    """Ask for another name."""
    return told(lambda: scene.client.rename_registered_model(name, new_name))


def bind(scene: Scene, name: str, text: str) -> str:
    """Send a contract as text."""
    body = {"name": name, "key": reserved.BIND, "value": text}
    return refused(scene.ask(f"{AJAX}/registered-models/set-tag", body))


@attack(
    "Rename a promoted model to a name that stands under another contract",
    Layer.RULES,
)
def renamed_into_another_contract(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.model(f"{name}-dye", FLUORESCENCE)
    scene.client.delete_registered_model(f"{name}-dye")
    return rename(scene, name, f"{name}-dye")


@attack(
    "Promote under a weak contract, then rename the model to a name with a strong one",
    Layer.RULES,
)
def renamed_from_a_weak_contract(scene: Scene, name: str) -> str:
    scene.model(f"{name}-dye", FLUORESCENCE)
    scene.register(f"{name}-dye", scene.wrong())
    scene.allowed[scene.wrong().location] = scene.bytes_at(scene.wrong().location)
    scene.client.set_registered_model_alias(f"{name}-dye", "champion", "1")
    scene.client.delete_registered_model(scene.model(name))
    said = rename(scene, f"{name}-dye", name)
    scene.client.delete_registered_model(f"{name}-dye")
    del scene.allowed[scene.wrong().location]
    return said


@attack(
    "Rename the model away, make a new one of its name, and promote in that",
    Layer.RULES,
)
def renamed_away(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.rename_registered_model(name, f"{name}-old")
    scene.client.create_registered_model(name)
    scene.register(name, scene.wrong())
    return scene.refusal(name, "1")


@attack("Delete the model and make it anew, so that version 1 is another", Layer.RULES)
def made_anew(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.delete_registered_model(name)
    scene.client.create_registered_model(name)
    assert scene.register(name, scene.wrong()) == "1"
    said = scene.refusal(name, "1")
    assert scene.champion_of(name) == "None"
    return said


@attack("Delete the champion's version and register another in its place", Layer.RULES)
def version_made_anew(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.delete_model_version(name, "1")
    version = scene.register(name, scene.wrong())
    assert version == "3"
    assert scene.champion_of(name) == "None"
    return scene.refusal(name, version)


@attack("Promote a deleted version", Layer.MLFLOW)
def deleted_version(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.delete_model_version(name, "2")
    return scene.refusal(name, "2")


@attack("Turn a model into a prompt, which the gate does not look at", Layer.STORE)
def disguised_as_a_prompt(scene: Scene, name: str) -> str:
    scene.rescue(name)
    body = {"name": name, "key": PROMPT, "value": "true"}
    return refused(scene.ask(f"{AJAX}/registered-models/set-tag", body))


@attack("Make a model as a prompt from the beginning", Layer.RULES)
def born_as_a_prompt(scene: Scene, name: str) -> str:
    body = {"name": name, "tags": [{"key": PROMPT, "value": "true"}]}
    assert scene.ask(f"{AJAX}/registered-models/create", body).status == 200
    text = reserved.binding(CONTRACT, "a test")
    contract = {"name": name, "key": reserved.BIND, "value": text}
    assert scene.ask(f"{AJAX}/registered-models/set-tag", contract).status == 200
    scene.register(name, scene.wrong())
    return scene.set_alias(name, "1")


@attack(
    "Give a prompt the alias `champion`, then take away what marks it as a prompt",
    Layer.READ_SIDE,
)
def prompt_turned_into_a_model(scene: Scene, name: str) -> str:
    scene.client.register_prompt(name, "Say {{word}}.")
    scene.client.set_prompt_alias(name, "champion", 1)
    mark = {"name": name, "key": PROMPT}
    path = f"{AJAX}/registered-models"
    assert scene.ask(f"{path}/delete-tag", mark, method="DELETE").status == 200
    found = f"{path}/alias?name={name}&alias=champion"
    return refused(scene.ask(found, method="GET"))


@attack(
    "Give a prompt the alias `champion`, then rename it to a model's name",
    Layer.CONSUMER,
)
def prompt_renamed_to_a_model(scene: Scene, name: str) -> str:
    scene.client.delete_registered_model(scene.model(name))
    scene.client.register_prompt(f"{name}-prompt", "Say {{word}}.")
    scene.client.set_prompt_alias(f"{name}-prompt", "champion", 1)
    new = {"name": f"{name}-prompt", "new_name": name}
    assert scene.ask(f"{AJAX}/registered-models/rename", new).status == 200
    with pytest.raises(NormgateError) as caught:
        resolve(f"models:/{name}@champion", scene.folder / "fetched")
    return str(caught.value)
