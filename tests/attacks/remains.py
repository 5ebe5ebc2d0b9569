"""What still works: every attack here must succeed, so that the list stays true."""

from __future__ import annotations

import http.client
import mmap
import shutil
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._model_registry import utils
from safetensors.numpy import save_file
from tests.attacks.accounts import HERS, furnished, login
from tests.attacks.artifacts import EVIL, WEIGHTS, champion, logged_in, path_of
from tests.attacks.catalog import (
    BOTH,
    CLIENT,
    OWNER,
    PLAIN_MLFLOW,
    SQL_ACCOUNT,
    SQLITE,
    STORE_KEY,
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
from mlflow_normgate.audit import standings, verify
from mlflow_normgate.registry import resolve
from normgate.contract import spec_digest, to_json
from normgate.errors import DigestMismatch
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


# Where normgate does not run.


@remains(
    "Resolve the alias at a server without normgate, after its files were exchanged",
    "Run no such server: it refuses promotions, but hashes nothing when it is asked. "
    "`deploy` verifies what it fetched.",
    holds=f"{PLAIN_MLFLOW}, {STORE_KEY}",
)
def resolved_without_the_gate(scene: Scene, name: str) -> str:
    logged, root = champion(scene, name)
    (root / WEIGHTS).write_bytes(EVIL)
    path = f"{AJAX}/registered-models/alias?name={name}&alias=champion"
    assert scene.ask(path, method="GET").status == 403
    answer = scene.ask(path, method="GET", at=scene.without())
    assert answer.status == 200
    return f"{name}@champion leads to {logged.location}"


@remains(
    "Keep the registry in MySQL or SQL Server",
    "Use SQLite or PostgreSQL: `normgate server` takes nothing else.",
    holds="the choice of the database",
    on=Stage.EMBEDDED,
)
def other_databases(scene: Scene, name: str) -> str:
    scene.model(name)
    registry = utils._model_registry_store_registry
    for scheme in ("mysql", "mssql"):
        builder = registry.get_store_builder(f"{scheme}://host/registry")
        assert builder.__module__.startswith("mlflow.")
    return "MLflow's own store opens it"


# Those who hold the bytes.


@remains(
    "Exchange files between the check and the download by MLflow alone",
    "Keep artifacts behind `normgate server`, so that nobody else can write there; "
    "`deploy` verifies what it fetched.",
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
)
def exchanged_after_the_check(scene: Scene, name: str) -> str:
    _, root = champion(scene, name)
    location = scene.client.get_model_version_download_uri(name, "1")
    (root / WEIGHTS).write_bytes(EVIL)
    fetched = mlflow.artifacts.download_artifacts(f"{location}/{WEIGHTS}")
    with open(fetched, "rb") as file:  # noqa: PTH123
        assert file.read() == EVIL
    with pytest.raises(DigestMismatch):
        resolve(f"models:/{name}@champion", scene.folder / "fetched")
    return "MLflow's client reads what lies there after the check"


@remains(
    "Exchange bytes through a memory map that was opened before: no time of the file "
    "changes, and the server takes it for one it has hashed",
    "Keep artifacts where only the server can write. `normgate verify` hashes every "
    "byte anew.",
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
)
def exchanged_in_a_memory_map(scene: Scene, name: str) -> str:
    _, root = champion(scene, name)
    with (root / WEIGHTS).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[-1] = mapped[-1]  # The page is now held for writing.
        time.sleep(2.2)
        scene.served(name, "champion")
        mapped[-1] ^= 1
        scene.served(name, "champion")
    assert "changed after it was registered" in audited(scene, name)
    with pytest.raises(DigestMismatch):
        resolve(f"models:/{name}@champion", scene.folder / "fetched")
    return "the alias is resolved, and deploy refuses what it fetched"


@remains(
    "Store over the champion's files where artifacts have no seal (`mlflow server`, or "
    "no server): it is not served any more",
    "Use `normgate server`, whose artifacts are sealed.",
    on=Stage.EMBEDDED,
)
def stored_without_a_seal(scene: Scene, name: str) -> str:
    logged, _ = champion(scene, name)
    folder = scene.folder / f"{name}-evil"
    folder.mkdir()
    (folder / "MLmodel").write_bytes(EVIL)
    scene.client.log_model_artifacts(logged.model_id, str(folder))
    return told(lambda: scene.client.get_model_version_by_alias(name, "champion"))


FORGED = """
INSERT INTO normgate_verdicts (decided_ms, actor, action, workspace, name, version,
  target, allowed, contract_name, contract_version, directory_digest,
  registered_digest, manifest_digest, spec_digest, channels, refusals)
SELECT 0, 'user admin', 'promote', workspace, name, version, 'champion', TRUE, 'plate',
  1, directory_digest, directory_digest, manifest_digest, spec_digest, '{{}}', '[]'
FROM normgate_evidence WHERE name = '{name}' AND version = 2;
INSERT INTO normgate_promotions (workspace, name, target, version, location,
  directory_digest, manifest_digest, spec_digest, contract_name, contract_version,
  verdict_id, since_ms)
SELECT workspace, name, 'champion', version, location, directory_digest,
  manifest_digest, spec_digest, 'plate', 1,
  (SELECT MAX(id) FROM normgate_verdicts), 0
FROM normgate_evidence WHERE name = '{name}' AND version = 2;
UPDATE registered_model_aliases SET version = 2 WHERE name = '{name}'
"""


@remains(
    "Forge a verdict, a promotion and the alias by SQL",
    "Give the right to insert into the ledger to the server's account alone, as "
    "`server/roles.sql` does. `normgate verify` judges anew, and finds it.",
    holds=f"{SQL_ACCOUNT} that may write the ledger, as the server's own",
    on=Stage.EMBEDDED,
    databases=BOTH,
)
def forged_verdict(scene: Scene, name: str) -> str:
    scene.rescue(name)
    scene.run_sql(*FORGED.format(name=name).split(";"))
    version, location = scene.served(name, "champion")
    assert (version, location) == ("2", scene.wrong().location)
    assert "Channel RFP1 was trained with" in audited(scene, name)
    return "version 2 is champion"


def audited(scene: Scene, name: str) -> str:
    """What `normgate verify` finds wrong with a model's champion."""
    store = scene.store
    held = [one for one in standings(store) if one.name == name]
    (found,) = verify(store, held)
    return str(found.problem)


@remains(
    "Take the ledger out of the database altogether, or replace the database's file",
    "Keep the owner's password from servers and people; on SQLite, the file. Keep "
    "backups, and compare `normgate ledger export` with an older one.",
    holds=OWNER,
    on=Stage.EMBEDDED,
)
def ledger_removed(scene: Scene, name: str) -> str:
    folder = scene.folder / name
    folder.mkdir()
    scene.rescue(name)
    shutil.copyfile(scene.folder / "mlflow.db", folder / "mlflow.db")
    plain = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db")
    with plain.engine.begin() as connection:
        query = "SELECT type, name FROM sqlite_master WHERE name LIKE 'normgate_%'"
        for kind, one in sorted(connection.exec_driver_sql(query).all(), reverse=True):
            if kind in {"trigger", "table"}:
                connection.exec_driver_sql(f'DROP {kind} "{one}"')
    plain.set_registered_model_alias(name, "champion", "2")
    found = plain.get_model_version_by_alias(name, "champion")
    plain._dispose_engine()
    return f"version {found.version} is champion for every server on that database"
