"""What still works: every attack here must succeed, so that the list stays true."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from safetensors.numpy import save_file
from tests.attacks.accounts import HERS, furnished, login
from tests.attacks.artifacts import EVIL, WEIGHTS, logged_in, path_of
from tests.attacks.catalog import (
    CLIENT,
    SQLITE,
    TRAINER,
    Layer,
    Stage,
    attack,
)
from tests.attacks.scene import AJAX, FILES, told
from tests.tracking.bundle_files import (
    CONTRACT,
    GEOMETRY,
    RIGHT,
    WRONG,
    close,
    log_folder,
    second_version,
    write_bundle,
    write_card,
)

from mlflow_normgate import reserved
from normgate.contract import spec_digest, to_json
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.scene import Scene


def remains(
    title: str,
    instead: str,
    *,
    holds: str = CLIENT,
    on: Stage = Stage.SERVED,
    databases: tuple[str, ...] = SQLITE,
) -> Callable[[Callable[[Scene, str], str]], Callable[[Scene, str], str]]:
    """Put an attack on the list that still works."""
    return attack(
        title,
        Layer.NOTHING,
        holds=holds,
        on=on,
        instead=instead,
        databases=databases,
    )


def promoted(scene: Scene, name: str, version: str, alias: str = "champion") -> str:
    """Ask for an alias, and make sure that it is set and resolved."""
    scene.client.set_registered_model_alias(name, alias, version)
    found = scene.client.get_model_version_by_alias(name, alias)
    assert str(found.version) == version
    return f"version {version} is {alias}"


# Lies about training.


@remains(
    "Train on other pixels outside the engine, and write the right spec, digests and "
    "fingerprint into the bundle",
    "Let only the account that runs the engine log models; look at the run. The server "
    "can't see what a network was trained on.",
    holds=TRAINER,
    on=Stage.EMBEDDED,
)
def lying_weights(scene: Scene, name: str) -> str:
    folder = write_bundle(scene.folder / name, WRONG)
    marks = {
        "spec_digest": spec_digest(RIGHT),
        "applied_fingerprint": expected_fingerprint(RIGHT, GEOMETRY),
    }
    for path in (folder / "members").iterdir():
        save_file({"head.weight": np.ones((2, 3), np.float32)}, path, metadata=marks)
    (folder / "spec.json").write_bytes(to_json(RIGHT))
    close(folder)
    scene.model(name)
    version = scene.register(name, log_folder(scene.client, folder))
    return promoted(scene, name, version)


@remains(
    "Write better metrics and only green vitals on the card before it is logged",
    "The same; compare the card with the metrics of the run, which the engine logged.",
    holds=TRAINER,
    on=Stage.EMBEDDED,
)
def lying_card(scene: Scene, name: str) -> str:
    folder = write_bundle(scene.folder / name, auroc=0.1)
    write_card(folder, metrics={"test_auroc": 0.99})
    close(folder)
    scene.model(name)
    version = scene.register(name, log_folder(scene.client, folder))
    return promoted(scene, name, version)


@remains(
    "Name somebody else's run as the one that trained a model of one's own",
    "MLflow takes a client's word for it. With basic-auth, give each team an "
    "experiment of its own.",
)
def borrowed_run_of_a_model(scene: Scene, name: str) -> str:
    theirs = scene.right().run_id
    experiment = scene.client.create_experiment(name)
    logged = logged_in(scene, name, experiment, run_id=theirs)
    version = scene.register(scene.model(name), logged)
    assert scene.client.get_model_version(name, version).run_id == theirs
    return promoted(scene, name, version)


# What the rules of the server allow.


@remains(
    "Bind a contract with weaker floors, on a server that asks nobody who they are",
    "Use `--app-name basic-auth`: then only administrators may. Either way it is "
    "written down, with its reason and the address: `normgate contract list`.",
)
def weaker_contract(scene: Scene, name: str) -> str:
    scene.model(name, CONTRACT)
    folder = write_bundle(scene.folder / name, auroc=0.1)
    version = scene.register(name, log_folder(scene.client, folder))
    assert "demands at least 0.7" in scene.refusal(name, version)
    scene.bind(name, second_version())
    with scene.engine.connect() as connection:
        query = "SELECT actor, reason FROM normgate_bindings ORDER BY id DESC LIMIT 1"
        actor, reason = connection.exec_driver_sql(query).one()
    said = promoted(scene, name, version)
    return f"{said}; the ledger says: {actor}, {reason}"


@remains(
    "Carry a contract to a free name, as a user who may rename a model under it",
    "It stays the same contract, and the binding is written down under that user.",
    holds="an account that may manage a model",
    on=Stage.ACCOUNTS,
)
def carried_contract(scene: Scene, name: str) -> str:
    path = f"{AJAX}/registered-models/rename"
    furnished(scene)
    there = {"name": HERS, "new_name": f"{HERS}-2"}
    assert scene.ask(path, there, headers=login()).status == 200
    tags = scene.client.get_registered_model(f"{HERS}-2").tags
    scene.client.rename_registered_model(f"{HERS}-2", HERS)
    return f"{HERS}-2 stands under {tags[reserved.CONTRACT]}"


@remains(
    "Move the champion back to an older version that fulfils the contract too",
    "The gate keeps out what is not allowed; which of the allowed ones is best is "
    "people's choice. `normgate ledger list` says who moved it.",
)
def moved_back(scene: Scene, name: str) -> str:
    scene.model(name)
    for _ in range(2):
        scene.register(name, scene.right())
    promoted(scene, name, "2")
    return promoted(scene, name, "1")


@remains(
    "Take the champion's alias away, or delete its version or the model",
    "Use basic-auth, where only who may edit a model can. Nothing wrong is served: "
    "the alias leads nowhere.",
)
def taken_away(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.client.delete_registered_model_alias(name, "champion")
    return told(lambda: scene.client.get_model_version_by_alias(name, "champion"))


@remains(
    "Load a version by its number, `latest` or `candidate` with MLflow alone",
    "Load by a protected alias; `deploy` takes nothing else.",
)
def loaded_by_number(scene: Scene, name: str) -> str:
    scene.rescue(name)
    location = scene.client.get_model_version_download_uri(name, "2")
    assert location == scene.wrong().location
    return f"models:/{name}/2 leads to {location}"


@remains(
    "Write a verdict of one's own into a version's description, and tags that look "
    "like the gate's",
    "Both are for people, and nothing is decided on them; `normgate ledger list` says "
    "what was decided.",
)
def told_to_people(scene: Scene, name: str) -> str:
    scene.rescue(name)
    note = "**Allowed: champion under contract plate version 1**"
    scene.client.update_model_version(name, "2", note)
    look_alike = "n\N{CYRILLIC SMALL LETTER O}rmgate.verdict"
    scene.client.set_model_version_tag(name, "2", look_alike, "allowed: champion")
    found = scene.client.get_model_version(name, "2")
    assert found.description == note
    return f"{look_alike} is {found.tags[look_alike]}"


@remains(
    "Turn the gate on for a database that was none of its own, by registering with the "
    "tag `normgate.bundle` where normgate is installed: older champions are then not "
    "resolved",
    "Initialize the database when nobody waits for it, with `normgate server`, and "
    "promote what was promoted before.",
    on=Stage.EMBEDDED,
)
def turned_on(scene: Scene, name: str) -> str:
    uri = scene.empty(name)
    client = MlflowClient(uri, uri)
    client.create_registered_model(name)
    client.create_model_version(name, "s3://bucket/x")
    client.set_registered_model_alias(name, "champion", "1")
    assert client.get_model_version_by_alias(name, "champion")
    client.create_model_version(name, "s3://bucket/y", tags={reserved.BUNDLE: "1"})
    return told(lambda: client.get_model_version_by_alias(name, "champion"))


@remains(
    "Fill the ledger with refusals",
    "Each costs a row of bounded size. Limit the rate of requests in the proxy before "
    "the server.",
)
def flooded(scene: Scene, name: str) -> str:
    scene.rescue(name)
    for _ in range(10):
        scene.refusal(name)
    query = f"SELECT COUNT(*) FROM normgate_verdicts WHERE name = '{name}'"
    with scene.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{query} AND version = 2").scalar()
    assert rows == 10
    return f"10 requests, {rows} rows"


@remains(
    "Hold an upload to somebody's unfinished model open until it is registered: the "
    "file that is coming counts, and the version can't be promoted when it is gone",
    "Register the model again. With basic-auth only who may edit the experiment can.",
)
def upload_held_open(scene: Scene, name: str) -> str:
    scene.model(name)
    logged = log_folder(scene.client, write_bundle(scene.folder / name), ready=False)
    place = urlsplit(scene.uri)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    connection.putrequest("PUT", f"{FILES}/{path_of(logged)}/{WEIGHTS}")
    connection.putheader("Content-Length", str(len(EVIL)))
    connection.endheaders()
    connection.send(EVIL[:5])
    time.sleep(0.3)
    scene.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    version = scene.register(name, logged)
    connection.send(EVIL[5:])
    assert connection.getresponse().status == 403
    connection.close()
    said = scene.refusal(name, version)
    promoted(scene, name, scene.register(name, logged))
    return said
