"""Ways to have the server run code, with its rights to the database.

MLflow's assistant and its scorers run what a client names, where that is allowed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.attacks.accounts import admin
from tests.attacks.catalog import BOTH, SQLITE, Layer, Stage, attack
from tests.attacks.scene import JSON, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.attacks.scene import Scene

ASSISTANT = "/ajax-api/3.0/mlflow/assistant"
MODEL = {
    "model": "x",
    "selected": True,
    "base_url": "http://127.0.0.1:9",
    "permissions": {"full_access": True},
}
"""A language model of the attacker's own, whose commands are run as they are."""


def assistant(scene: Scene, headers: Mapping[str, str]) -> str:
    """Choose the assistant's model, talk to it, and read what it did."""
    forwarded = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    told = {"message": "hello", "context": {}}
    answers = [
        scene.ask(f"{ASSISTANT}/{path}", body, method=method, headers=more)
        for more in ({**JSON, **headers}, {**JSON, **headers, **forwarded})
        for method, path, body in (
            ("PUT", "config", {"providers": {"ollama": MODEL}}),
            ("POST", "message", told),
            ("POST", "sessions/x/permission", {"request_id": "x", "allow": True}),
            ("POST", "skills/install", {"type": "global"}),
            ("GET", "sessions/x/stream", None),
            ("GET", "providers/ollama/models", None),
        )
    ]
    assert {answer.status for answer in answers} == {403}, answers
    (said,) = {json.loads(answer.text)["detail"] for answer in answers}
    return str(said)


@attack(
    "Tell MLflow's assistant to run a command, from the server's own machine or "
    "through a proxy there",
    Layer.SERVER,
    databases=BOTH,
)
def assistant_of_the_server(scene: Scene, name: str) -> str:
    return assistant(scene, {})


@attack(
    "The same as the server's administrator",
    Layer.SERVER,
    holds="an administrator's account",
    on=Stage.ACCOUNTS,
    databases=SQLITE,
)
def assistant_of_the_administrator(scene: Scene, name: str) -> str:
    return assistant(scene, admin())


@attack(
    "Register a scorer whose code the server runs when it reads it",
    Layer.MLFLOW,
    databases=SQLITE,
)
def scorer_with_code(scene: Scene, name: str) -> str:
    mark = scene.folder / name
    scorer = {
        "name": name,
        "call_source": f"open({str(mark)!r}, 'w').close()",
        "call_signature": "(outputs)",
        "original_func_name": "evil",
    }
    body = {
        "experiment_id": "0",
        "name": name,
        "serialized_scorer": json.dumps(scorer),
    }
    answer = scene.ask("/api/3.0/mlflow/scorers/register", body)
    assert not mark.exists()
    return refused(answer)
