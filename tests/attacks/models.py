"""Registered models renamed, deleted, disguised, and bound to other contracts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from mlflow.entities.model_registry import RegisteredModelTag
from tests.attacks.catalog import ADMINISTRATOR, BOTH, SQLITE, Layer, Stage, attack
from tests.attacks.scene import AJAX, refused, told
from tests.tracking.bundle_files import CONTRACT, FLUORESCENCE, second_version

from mlflow_normgate import reserved
from mlflow_normgate.registry import resolve
from normgate.contract import to_json
from normgate.errors import NormgateError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


@attack("Release the model from its contract while it has a champion", Layer.RULES)
def released(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return bind(scene, name, reserved.binding(None, "no need"))


@attack("Bind a contract that the champion does not fulfil", Layer.RULES)
def bound_to_another(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return bind(scene, name, reserved.binding(FLUORESCENCE, "mine"))


@attack("Rewrite a version of a contract: the same name, no floors", Layer.STORE)
def contract_rewritten(scene: Scene, name: str) -> str:
    scene.rescue(name)
    weaker = CONTRACT.model_copy(update={"floors": ()})
    return bind(scene, name, reserved.binding(weaker, "mine"))


@attack("Change a contract without a reason", Layer.STORE)
def contract_without_a_reason(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return bind(scene, name, reserved.binding(second_version(), "  "))


@attack(
    "Make a model called `*` and bind a contract to it, which then stands for all",
    Layer.STORE,
)
def bound_to_a_pattern(scene: Scene, name: str) -> str:
    scene.client.create_registered_model(f"{name}-*")
    said = bind(scene, f"{name}-*", reserved.binding(CONTRACT, "for all"))
    scene.client.create_registered_model(f"{name}-other")
    scene.register(f"{name}-other", scene.right())
    assert "No contract" in scene.refusal(f"{name}-other", "1")
    return said


@attack(
    "Rename a model with a contract to `...*`, which then stands for all", Layer.STORE
)
def renamed_to_a_pattern(scene: Scene, name: str) -> str:
    return rename(scene, scene.model(name), f"{name}-*")


@attack(
    "Bind two patterns with different contracts to one name, for the gate to choose",
    Layer.RULES,
    holds=ADMINISTRATOR,
    on=Stage.EMBEDDED,
)
def ambiguous_patterns(scene: Scene, name: str) -> str:
    scene.store.bind_contract(f"{name}*", CONTRACT, "one")
    scene.store.bind_contract(f"*{name}", FLUORESCENCE, "another")
    scene.client.create_registered_model(name)
    scene.register(name, scene.right())
    return scene.refusal(name, "1")


def hostile(
    title: str, slug: str, text: str, databases: tuple[str, ...] = SQLITE
) -> None:
    """Put an attack with one hostile contract on the list."""

    @attack(title, Layer.READER, slug=slug, databases=databases)
    def deed(scene: Scene, name: str) -> str:
        scene.model(name, None)
        began = time.monotonic()
        said = bind(scene, name, text)
        assert time.monotonic() - began < 30
        return said


def changed(**changes: object) -> str:
    """The plate contract with some fields changed, as a client would send it."""
    document = json.loads(to_json(CONTRACT)) | changes
    return sent(json.dumps(document))


def sent(contract: str) -> str:
    return json.dumps({"contract": contract, "reason": "a test"})


def channel(**changes: object) -> Mapping[str, object]:
    """A contract's channels, the first of which is changed."""
    first, *others = json.loads(to_json(CONTRACT))["channels"]
    return {"channels": [first | changes, *others]}


TEXT = to_json(CONTRACT).decode()
hostile(
    "A contract that shows other steps than those of its digest",
    "contract-digest-of-others",
    changed(**channel(digest="0" * 64)),
)
hostile(
    "A contract with a key twice, for each reader to take another",
    "contract-key-twice",
    sent(TEXT.replace('"version": 1', '"version": 1, "version": 2', 1)),
)
hostile(
    "A contract with NaN as a floor, below which nothing is",
    "contract-floor-nan",
    sent(TEXT.replace('"minimum": 0.7', '"minimum": NaN')),
)
hostile(
    "A contract with -Infinity as a floor",
    "contract-floor-infinite",
    sent(TEXT.replace('"minimum": 0.7', '"minimum": -Infinity')),
)
hostile(
    "A contract with the floor 1e1000000000, to fill the memory",
    "contract-floor-huge",
    sent(TEXT.replace('"minimum": 0.7', '"minimum": 1e1000000000')),
)
hostile(
    "A contract of version 1e1000000000, to fill the memory",
    "contract-version-huge",
    sent(TEXT.replace('"version": 1', '"version": 1e1000000000', 1)),
)
hostile(
    "A contract of version Infinity",
    "contract-version-infinite",
    sent(TEXT.replace('"version": 1', '"version": Infinity', 1)),
)
hostile(
    "A contract with a number of 90,000 digits",
    "contract-many-digits",
    sent(TEXT.replace('"minimum": 0.7', f'"minimum": 0.{"7" * 90_000}')),
)
hostile(
    "A contract nested 40,000 deep",
    "contract-deep",
    sent("[" * 40_000 + "]" * 40_000),
)
hostile(
    "A contract with 8,000 keys, the last one twice",
    "contract-many-keys",
    sent("{" + ",".join(f'"k{n}":0' for n in range(8000)) + ',"k7999":0}'),
)
hostile(
    "A contract with 3,000 channels",
    "contract-many-channels",
    sent(json.dumps({**json.loads(TEXT), "channels": [{}] * 3000})),
)
hostile(
    "A contract without channels, which every model fulfils",
    "contract-no-channels",
    changed(channels=[]),
)
hostile(
    "A contract whose channel is HALO with a Cyrillic O",
    "contract-look-alike",
    changed(**channel(name="HAL\N{CYRILLIC CAPITAL LETTER O}")),
)
hostile(
    "A contract with unknown keys, as `forbid_red_vital` for `forbid_red_vitals`",
    "contract-unknown-key",
    changed(forbid_red_vital=True),
)
hostile(
    "A reason with letters that no database takes (a lone surrogate, a zero byte)",
    "contract-reason-unprintable",
    '{"contract": null, "reason": "because\\ud800\\u0000"}',
    BOTH,
)
hostile("Text that is no JSON", "contract-no-json", "!!python/object:os.system")


@attack("Set a contract's tag when the model is made, around its check", Layer.STORE)
def bound_at_creation(scene: Scene, name: str) -> str:
    tag = RegisteredModelTag(reserved.BIND, reserved.binding(CONTRACT, "mine"))
    tags = [{"key": tag.key, "value": tag.value}]
    body = {"name": name, "tags": tags}
    return refused(scene.ask(f"{AJAX}/registered-models/create", body))
