"""What still works of those who hold the bytes, and where normgate does not run."""

from __future__ import annotations

import mmap
import shutil
import time
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._model_registry import utils
from tests.attacks.artifacts import EVIL, WEIGHTS
from tests.attacks.catalog import (
    BOTH,
    OWNER,
    PLAIN_MLFLOW,
    SQL_ACCOUNT,
    STORE_KEY,
    Stage,
)
from tests.attacks.disk import champion
from tests.attacks.remains import remains
from tests.attacks.scene import AJAX, told

from mlflow_normgate.audit import standings, verify
from mlflow_normgate.registry import resolve
from normgate.errors import DigestMismatch

if TYPE_CHECKING:
    from tests.attacks.scene import Scene


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
