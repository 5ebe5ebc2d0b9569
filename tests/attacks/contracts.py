"""Contracts that are released, replaced, ambiguous or hostile."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from mlflow.entities.model_registry import RegisteredModelTag
from tests.attacks.catalog import ADMINISTRATOR, BOTH, SQLITE, Layer, Stage, attack
from tests.attacks.models import bind, rename
from tests.attacks.scene import AJAX, refused
from tests.tracking.bundle_files import CONTRACT, FLUORESCENCE, second_version

from mlflow_normgate import reserved
from normgate.contract import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.attacks.scene import Scene


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
