"""Files exchanged behind a version: through the server, and on the disk."""

from __future__ import annotations

import http.client
import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from mlflow.entities import LoggedModelStatus
from tests.attacks.catalog import DISK, SQLITE, STORE_KEY, Layer, Stage, attack
from tests.attacks.scene import AJAX, FILES, Answer, refused, told
from tests.tracking.bundle_files import (
    WRONG,
    Logged,
    log_folder,
    write_bundle,
    write_model,
)
from tests.tracking.conftest import clean_environment

from mlflow_normgate.evidence import served_digest
from mlflow_normgate.registry import resolve
from mlflow_normgate.server import plan
from normgate.errors import DigestMismatch, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.scene import Scene

MULTIPART = "/api/2.0/mlflow-artifacts/mpu"
WEIGHTS = "artifacts/bundle/members/00.safetensors"
EVIL = b"not what was allowed"


def path_of(logged: Logged) -> str:
    """Where a model's files are in the artifact store."""
    return logged.location.removeprefix("mlflow-artifacts:/")


def put(scene: Scene, path: str, files: str = FILES) -> str:
    """Store a file through the server."""
    return refused(scene.ask(f"{files}/{path}", EVIL, method="PUT"))


@attack("Store other weights before the model is registered", Layer.SEAL)
def stored_before_registration(scene: Scene, name: str) -> str:
    return put(scene, f"{path_of(scene.right())}/{WEIGHTS}")


@attack("Store other weights over the champion's", Layer.SEAL)
def stored_over_the_champion(scene: Scene, name: str) -> str:
    scene.rescue(name)
    return put(scene, f"{path_of(scene.right())}/{WEIGHTS}")


@attack("Spell the path in 11 other ways (`//`, `..`, `%2f`, twice, case)", Layer.SEAL)
def stored_by_spellings(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = path_of(scene.right())
    experiment, _, model, _ = path.split("/")
    spellings = (
        f"{experiment}//models/{model}/artifacts/MLmodel",
        f"{experiment}/models/./{model}/artifacts/MLmodel",
        f"{experiment}/models/x/../{model}/artifacts/MLmodel",
        f"{experiment}/x/../models/{model}/artifacts/MLmodel",
        f"x/../{path}/MLmodel",
        quote(f"{path}/MLmodel", safe=""),
        quote(quote(f"{path}/MLmodel", safe=""), safe=""),
        f"{experiment}/models/{model}%2fartifacts/MLmodel",
        f"{experiment}/models%5c{model}%5cartifacts%5cMLmodel",
        f"%2e/{path}/MLmodel",
        f"{path}/MLmodel/",
    )
    answers = [
        scene.ask(f"{api}/mlflow-artifacts/artifacts/{one}", EVIL, method="PUT")
        for one in spellings
        for api in ("/api/2.0", "/ajax-api/2.0")
    ]
    assert {one.status for one in answers} <= {400, 403}, answers
    kept = scene.right().location
    assert scene.bytes_at(kept) == scene.allowed[kept]
    return next(one.sentence for one in answers if one.status == 403)


@attack(
    "Add a file under a name that the gate does not count (`registered_model_meta`, "
    "`__pycache__`)",
    Layer.SEAL,
)
def stored_where_nobody_looks(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = path_of(scene.right())
    put(scene, f"{path}/__pycache__/scoring.cpython-311.pyc")
    return put(scene, f"{path}/registered_model_meta")


@attack("Delete the champion's files, or a folder that holds them", Layer.SEAL)
def deleted_files(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = path_of(scene.right())
    experiment = path.partition("/")[0]
    folders = (f"{path}/MLmodel", path, f"{experiment}/models", experiment)
    for one in (*folders, f"x/../{path}", quote(path, safe="")):
        answer = scene.ask(f"{FILES}/{one}", method="DELETE")
        assert 400 <= answer.status < 500, (one, answer)
        if answer.status == 403:
            said = answer.sentence
    return said


@attack(
    "Upload in several parts (`mpu/create`), or by an address that needs no server",
    Layer.MLFLOW,
)
def stored_in_parts(scene: Scene, name: str) -> str:
    scene.rescue(name)
    path = path_of(scene.right())
    body = {"path": "MLmodel", "num_parts": 1, "upload_id": "1", "parts": []}
    said = ""
    for act in ("create", "complete", "abort"):
        answer = scene.ask(f"{MULTIPART}/{act}/{path}", body)
        assert answer.status >= 400, answer
        said = answer.sentence
    presigned = {"run_id": scene.right().run_id, "path": "../x", "artifact_path": "x"}
    answer = scene.ask(f"{AJAX}/artifacts/presigned-upload-url", presigned)
    assert answer.status >= 400, answer
    return said


@attack("Store through a run's artifacts, up and into the model's folder", Layer.MLFLOW)
def stored_through_a_run(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.right()
    model = path_of(logged).partition("/")[2]
    up = f"../../{model}/MLmodel"
    place = f"{path_of(logged).partition('/')[0]}/{logged.run_id}/artifacts"
    for one in (f"{place}/{up}", f"{place}/{quote(up, safe='')}"):
        assert 400 <= scene.ask(f"{FILES}/{one}", EVIL, method="PUT").status < 500
    query = f"run_uuid={logged.run_id}&path={quote(up, safe='')}"
    return refused(scene.ask(f"{AJAX}/upload-artifact?{query}", EVIL))


@attack("Set the champion's model back to PENDING, then store over it", Layer.SEAL)
def set_back_to_pending(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.log()
    scene.client.set_registered_model_alias(name, "next", scene.register(name, logged))
    for status in (LoggedModelStatus.PENDING, LoggedModelStatus.FAILED):
        scene.client.finalize_logged_model(logged.model_id, status)
        said = put(scene, f"{path_of(logged)}/{WEIGHTS}")
    return said


@attack(
    "Delete the champion's logged model, run and experiment, then store over its files",
    Layer.SEAL,
)
def deleted_then_stored(scene: Scene, name: str) -> str:
    scene.rescue(name)
    experiment = scene.client.create_experiment(name)
    logged = logged_in(scene, name, experiment)
    scene.client.set_registered_model_alias(name, "next", scene.register(name, logged))
    scene.client.delete_logged_model(logged.model_id)
    scene.client.delete_run(logged.run_id)
    scene.client.delete_experiment(experiment)
    said = put(scene, f"{path_of(logged)}/{WEIGHTS}")
    assert scene.served(name, "next")[1] == logged.location
    return said


def logged_in(
    scene: Scene,
    name: str,
    experiment: str,
    *,
    run_id: str | None = None,
    change: Callable[[Path], None] | None = None,
) -> Logged:
    """A good model in an experiment; its folder may be changed before it is logged."""
    run = run_id or scene.client.create_run(experiment).info.run_id
    model = scene.client.create_logged_model(experiment, source_run_id=run)
    bundle = write_bundle(scene.folder / f"{name}-bundle")
    folder = write_model(scene.folder / f"{name}-model", bundle, model.model_id)
    if change is not None:
        change(folder)
    scene.client.log_model_artifacts(model.model_id, str(folder))
    scene.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    logged = Logged(model.model_id, run, model.artifact_location)
    if change is None:
        scene.allowed[logged.location] = scene.bytes_at(logged.location)
    return logged


@attack(
    "Delete the champion's logged model and have `mlflow gc` remove its files",
    Layer.READ_SIDE,
    databases=SQLITE,
)
def garbage_collected(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = logged_in(scene, name, scene.client.create_experiment(name))
    scene.client.set_registered_model_alias(name, "next", scene.register(name, logged))
    scene.client.delete_logged_model(logged.model_id)
    scene.client.delete_run(logged.run_id)
    command = [sys.executable, "-m", "mlflow", "gc", "--older-than", "0d0h0m0s"]
    command += ["--backend-store-uri", scene.database]
    command += ["--artifacts-destination", str(scene.artifacts)]
    environment = clean_environment(MLFLOW_TRACKING_URI=scene.uri)
    subprocess.run(command, check=False, capture_output=True, env=environment)
    if (scene.stored(logged.location) / "MLmodel").exists():
        shutil.rmtree(scene.stored(logged.location))
    return told(lambda: scene.served(name, "next"))


@attack(
    "Begin an upload while the model is open, and end it when it is READY",
    Layer.SEAL,
)
def slow_upload(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = log_folder(scene.client, write_bundle(scene.folder / name), ready=False)
    place = urlsplit(scene.uri)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    connection.putrequest("PUT", f"{FILES}/{path_of(logged)}/{WEIGHTS}")
    connection.putheader("Content-Length", str(len(EVIL)))
    connection.endheaders()
    connection.send(EVIL[:5])
    time.sleep(0.3)
    scene.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    connection.send(EVIL[5:])
    found = connection.getresponse()
    answer = Answer(found.status, found.read().decode())
    connection.close()
    scene.allowed[logged.location] = scene.bytes_at(logged.location)
    scene.client.set_registered_model_alias(name, "next", scene.register(name, logged))
    return refused(answer)


@attack(
    "Start the server with options of MLflow's that lead around the seal",
    Layer.SERVER,
    holds="the server's command line, without its database",
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def started_without_a_seal(scene: Scene, name: str) -> str:
    for options in (
        ["--artifacts-only"],
        ["--default-artifact-root", "s3://bucket/mine"],
        ["--registry-store-uri", "sqlite:///mine.db"],
        ["--artifacts-destination", "gs://bucket/mine"],
        ["--backend-store-uri", "mysql://host/mine"],
        ["--no-serve-artifacts"],
    ):
        with pytest.raises(SettingsError) as caught:
            plan(None, None, options)
    return str(caught.value)


# On the disk, where no server is asked.


def champion(scene: Scene, name: str) -> tuple[Logged, Path]:
    """A champion of its own, and the folder of its files."""
    scene.model(name)
    logged = scene.log()
    scene.client.set_registered_model_alias(
        name, "champion", scene.register(name, logged)
    )
    return logged, scene.stored(logged.location)


def on_disk(
    title: str,
    slug: str,
    *,
    holds: str = STORE_KEY,
    on: Stage = Stage.EMBEDDED,
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Put an attack on the list that changes a champion's files."""

    def put_on(change: Callable[[Path], None]) -> Callable[[Path], None]:
        @attack(title, Layer.READ_SIDE, holds=holds, on=on, databases=SQLITE, slug=slug)
        def deed(scene: Scene, name: str) -> str:
            _, root = champion(scene, name)
            change(root)
            store = scene.client._get_registry_client().store
            fetch = told(lambda: store.get_model_version_download_uri(name, "1"))
            said = told(lambda: store.get_model_version_by_alias(name, "champion"))
            assert said == fetch
            return said

        return change

    return put_on


@on_disk("Exchange the weights after the promotion", "disk-weights")
def _(root: Path) -> None:
    (root / WEIGHTS).write_bytes(EVIL)


@on_disk("The same, behind a running server", "disk-behind-a-server", on=Stage.SERVED)
def _(root: Path) -> None:
    (root / WEIGHTS).write_bytes(EVIL)


@on_disk("Exchange weights, spec, card and manifest by those of another bundle", "all")
def _(root: Path) -> None:
    other = write_bundle(root.parent / "other", WRONG)
    shutil.rmtree(root / "artifacts" / "bundle")
    other.rename(root / "artifacts" / "bundle")


@on_disk("Add a file beside the bundle", "disk-added")
def _(root: Path) -> None:
    (root / "artifacts" / "model.bin").write_bytes(EVIL)


@on_disk("Add a file at the root, as `conda.yaml` with other packages", "disk-conda")
def _(root: Path) -> None:
    (root / "conda.yaml").write_text("dependencies: [evil]\n")


@on_disk("Rewrite `MLmodel`, so that MLflow loads it by other code", "disk-mlmodel")
def _(root: Path) -> None:
    (root / "MLmodel").write_text("flavors: {python_function: {loader_module: os}}\n")


@on_disk("Remove a file", "disk-removed")
def _(root: Path) -> None:
    (root / "artifacts" / "bundle" / "card.json").unlink()


@on_disk("Put a folder in the place of a file", "disk-folder")
def _(root: Path) -> None:
    (root / WEIGHTS).unlink()
    (root / WEIGHTS).mkdir()
    (root / WEIGHTS / "weights").write_bytes(EVIL)


@on_disk("Put a link to the same bytes in the place of a file", "disk-link")
def _(root: Path) -> None:
    copied = root.parent / "weights-outside"
    (root / WEIGHTS).rename(copied)
    (root / WEIGHTS).symlink_to(copied)


@on_disk("Put a link in the place of a folder", "disk-linked-folder")
def _(root: Path) -> None:
    outside = root.parent / "members-outside"
    (root / WEIGHTS).parent.rename(outside)
    (root / WEIGHTS).parent.symlink_to(outside)


@on_disk("Put a hard link in the place of a file, and change its other name", "hard")
def _(root: Path) -> None:
    outside = root.parent / "hard-link"
    os.link(root / WEIGHTS, outside)
    data = bytearray(outside.read_bytes())
    data[-1] ^= 1
    outside.write_bytes(bytes(data))


@on_disk("Put a pipe in the place of a file, for the server to wait for ever", "pipe")
def _(root: Path) -> None:
    (root / WEIGHTS).unlink()
    os.mkfifo(root / WEIGHTS)


@on_disk("Link the whole folder to one elsewhere with other weights", "disk-root")
def _(root: Path) -> None:
    outside = root.parent / "root-outside"
    root.rename(outside)
    root.symlink_to(outside)
    (outside / WEIGHTS).write_bytes(EVIL)


@on_disk("Hide code in a folder called `registered_model_meta`", "disk-hidden-folder")
def _(root: Path) -> None:
    (root / "registered_model_meta").mkdir()
    (root / "registered_model_meta" / "evil.py").write_bytes(EVIL)


@on_disk(
    "Leave a compiled `scoring.py` in `__pycache__`, which Python runs in its place "
    "whatever the source says",
    "disk-compiled",
)
def _(root: Path) -> None:
    cached = Path(importlib.util.cache_from_source(str(root / "scoring.py")))
    cached.parent.mkdir()
    # PEP 552: flags 1 is a file whose source is never checked.
    code = compile("EVIL = True", "scoring.py", "exec")
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + b"\0" * 8
    cached.write_bytes(head + marshal.dumps(code))


@attack(
    "Exchange a byte, then set the file's size and times back to what the server "
    "remembers",
    Layer.READ_SIDE,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def times_set_back(scene: Scene, name: str) -> str:
    _, root = champion(scene, name)
    time.sleep(2.1)  # Only now does the server remember anything of young files.
    scene.served(name, "champion")
    path = root / WEIGHTS
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return told(lambda: scene.served(name, "champion"))


@attack(
    "Exchange whole folders to and fro while the server reads, for it to remember a "
    "good digest for a bad file",
    Layer.READ_SIDE,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_to_and_fro(scene: Scene, name: str) -> str:
    logged, root = champion(scene, name)
    members = (root / WEIGHTS).parent
    good, bad = root.parent / "members-good", root.parent / "members-bad"
    shutil.copytree(members, bad)
    data = bytearray((bad / "00.safetensors").read_bytes())
    data[-1] ^= 1
    (bad / "00.safetensors").write_bytes(bytes(data))
    time.sleep(2.1)  # Only now would the server remember anything of young files.
    ended = threading.Event()

    def exchange() -> None:
        while not ended.is_set():
            members.rename(good)
            bad.rename(members)
            time.sleep(0.001)
            members.rename(bad)
            good.rename(members)
            time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(exchange)
        for _ in range(100):
            served_digest(logged.location)
        ended.set()
        done.result()
    members.rename(good)
    bad.rename(members)
    return told(lambda: scene.served(name, "champion"))


@attack(
    "Exchange the files between registration and promotion",
    Layer.RULES,
    holds=STORE_KEY,
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_before_promotion(scene: Scene, name: str) -> str:
    scene.model(name)
    logged = scene.log()
    version = scene.register(name, logged)
    (scene.stored(logged.location) / "notes.txt").write_bytes(EVIL)
    return scene.refusal(name, version)


@attack(
    "Exchange the files of a model that was fetched before, for a deployment to use",
    Layer.CONSUMER,
    holds=f"{DISK} of the machine that deploys",
    on=Stage.EMBEDDED,
    databases=SQLITE,
)
def exchanged_after_fetching(scene: Scene, name: str) -> str:
    champion(scene, name)
    kept = scene.folder / "kept"
    bundle = resolve(f"models:/{name}@champion", kept).bundle
    (bundle / "card.json").write_text("{}")
    with pytest.raises(DigestMismatch) as caught:
        resolve(f"models:/{name}@champion", kept)
    return str(caught.value)
