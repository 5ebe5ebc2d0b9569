"""Files exchanged behind a version, through the server."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from mlflow.entities import LoggedModelStatus
from tests.attacks.catalog import SQLITE, Layer, Stage, attack
from tests.attacks.scene import AJAX, FILES, Answer, refused, told
from tests.tracking.bundle_files import (
    Logged,
    log_folder,
    write_bundle,
    write_model,
)
from tests.tracking.conftest import clean_environment

from mlflow_normgate.server import plan
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
