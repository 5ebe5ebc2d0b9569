"""Lies that are told when a version is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.entities import LoggedModelStatus
from tests.attacks.catalog import CLIENT, SQL_ACCOUNT, Layer, attack
from tests.attacks.scene import AJAX, FILES, refused, told
from tests.tracking.bundle_files import CONTRACT, WRONG, log_folder, write_bundle

from mlflow_normgate import reserved
from normgate.contract import spec_digest

if TYPE_CHECKING:
    from typing import Any

    from tests.attacks.scene import Scene


@attack(
    "Register with forged `normgate.*` tags: a good model's digests, verdict, contract",
    Layer.RULES,
)
def forged_tags(scene: Scene, name: str) -> str:
    scene.rescue(name)
    good = scene.client.get_model_version(name, "1").tags
    forged = {**good, reserved.VERDICT: "allowed: champion", "normgate.own": "1"}
    version = scene.register(name, scene.wrong(), tags=forged)
    stands = scene.client.get_model_version(name, version).tags
    assert stands[reserved.SPEC_DIGEST] == spec_digest(WRONG)
    assert "normgate.own" not in stands
    return scene.refusal(name, version)


@attack(
    "Edit or delete what is shown as evidence: `normgate.*` tags of a version or model",
    Layer.STORE,
)
def edited_tags(scene: Scene, name: str) -> str:
    scene.rescue(name)
    version = {"name": name, "version": "2", "key": reserved.SPEC_DIGEST}
    model = {"name": name, "key": reserved.CONTRACT}
    for path, method, body in (
        ("model-versions/set-tag", "POST", {**version, "value": "0"}),
        ("model-versions/delete-tag", "DELETE", version),
        ("registered-models/set-tag", "POST", {**model, "value": "mine version 1"}),
        ("registered-models/delete-tag", "DELETE", model),
        (
            "registered-models/create",
            "POST",
            {"name": f"{name}-2", "tags": [{**model, "value": "mine version 1"}]},
        ),
    ):
        said = refused(scene.ask(f"{AJAX}/{path}", body, method=method))
        assert "is reserved" in said
    return said


@attack("Register the wrong model with the run of a good one", Layer.RULES)
def borrowed_run(scene: Scene, name: str) -> str:
    scene.rescue(name)
    version = scene.register(name, scene.wrong(), run_id=scene.right().run_id)
    found = scene.client.get_model_version(name, version)
    assert found.run_id == scene.wrong().run_id
    return scene.refusal(name, version)


@attack("Register the wrong model's files with the id of a good one", Layer.MLFLOW)
def borrowed_model_id(scene: Scene, name: str) -> str:
    scene.rescue(name)
    good = scene.right().model_id
    return told(lambda: scene.register(name, scene.wrong(), model_id=good))


def create(scene: Scene, name: str, source: str, **more: Any) -> str:
    """Register a source over REST; the version's number, or what is told."""
    body = {"name": name, "source": source, **more}
    answer = scene.ask(f"{AJAX}/model-versions/create", body)
    if answer.status != 200:
        return refused(answer)
    return ""


def elsewhere(title: str, source: str, stopped_by: Layer, slug: str) -> None:
    """Put an attack with one foreign source on the list."""

    @attack(title, stopped_by, slug=slug)
    def deed(scene: Scene, name: str) -> str:
        scene.rescue(name)
        wrong = scene.wrong()
        place = source.format(
            model=wrong.model_id, run=wrong.run_id, location=wrong.location, name=name
        )
        said = create(scene, name, place, run_id=wrong.run_id)
        return said or scene.refusal(name, "3")


elsewhere(
    "Register from `s3://` with the run of a good model",
    "s3://bucket/model",
    Layer.RULES,
    "source-s3",
)
elsewhere(
    "Register from `http://`", "http://example.org/model", Layer.MLFLOW, "source-http"
)
elsewhere(
    "Register from `mlflow-artifacts://` of another host",
    "mlflow-artifacts://example.org/1/models/{model}/artifacts",
    Layer.MLFLOW,
    "source-other-host",
)
elsewhere(
    "Register a folder of the server's disk", "file:///etc", Layer.MLFLOW, "source-file"
)
elsewhere("Register a run's artifacts", "runs:/{run}/model", Layer.RULES, "source-runs")
elsewhere(
    "Register `MODELS:/...`, spelled large, to be read in two ways",
    "MODELS:/{model}",
    Layer.MLFLOW,
    "source-large",
)
elsewhere(
    "Register by another model's alias, which may move later",
    "models:/{name}@champion",
    Layer.MLFLOW,
    "source-alias",
)
elsewhere(
    "Register a model that does not exist",
    "models:/m-00000000000000000000000000000000",
    Layer.MLFLOW,
    "source-unknown",
)
elsewhere(
    "Register the bundle alone, a folder inside a logged model",
    "{location}/artifacts/bundle",
    Layer.MLFLOW,
    "source-inside",
)
elsewhere(
    "Register through `..` from one model's folder into another's",
    "{location}/../../{model}/artifacts",
    Layer.MLFLOW,
    "source-upwards",
)
elsewhere(
    "Register a prompt's placeholder as a source, to be taken for a prompt",
    "dummy-source",
    Layer.MLFLOW,
    "source-placeholder",
)


@attack("Promote a model whose upload was never finished", Layer.RULES)
def unfinished(scene: Scene, name: str) -> str:
    scene.rescue(name)
    bundle = write_bundle(scene.folder / name)
    logged = log_folder(scene.client, bundle, ready=False)
    return scene.refusal(name, scene.register(name, logged))


@attack(
    "Register a model that is not READY, and exchange its files before it becomes so",
    Layer.SEAL,
)
def exchanged_before_ready(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = log_folder(scene.client, write_bundle(scene.folder / name), ready=False)
    scene.register(name, logged)
    path = logged.location.removeprefix("mlflow-artifacts:/")
    said = refused(scene.ask(f"{FILES}/{path}/MLmodel", b"other", method="PUT"))
    scene.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return said


@attack("Register a model that was deleted", Layer.MLFLOW)
def deleted_model(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.log(WRONG)
    scene.client.delete_logged_model(logged.model_id)
    # MLflow answers with status 500 here, with normgate and without.
    body = {"name": name, "source": logged.source, "model_id": logged.model_id}
    answer = scene.ask(f"{AJAX}/model-versions/create", body)
    assert answer.status != 200
    return answer.sentence


@attack("Delete a model between its registration and its promotion", Layer.RULES)
def deleted_before_promotion(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.log()
    version = scene.register(name, logged)
    scene.client.delete_logged_model(logged.model_id)
    return scene.refusal(name, version)


LOCATIONS = (
    "http://example.org/api/2.0/mlflow-artifacts/artifacts/x",
    "https://example.org/x",
    "mlflow-artifacts://example.org:5000/x",
    "ftp://example.org/x",
    "hdfs://example.org/x",
)


@attack(
    "Make an experiment whose artifacts go to a host of one's own "
    "(`http`, `mlflow-artifacts://host`, `ftp`, `hdfs`)",
    Layer.MLFLOW,
)
def experiment_of_another_host(scene: Scene, name: str) -> str:
    for number, place in enumerate(LOCATIONS):
        said = told(
            lambda place=place, number=number: scene.client.create_experiment(
                f"{name}-{number}", artifact_location=place
            )
        )
    return said


def logged_at(scene: Scene, name: str, place: str) -> Any:
    """A READY model of an experiment whose artifacts go to a place."""
    experiment = scene.client.create_experiment(name, artifact_location=place)
    run = scene.client.create_run(experiment).info.run_id
    model = scene.client.create_logged_model(experiment, source_run_id=run)
    return scene.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


@attack(
    "Make an experiment whose artifacts go to a folder that each machine has for "
    "itself: good files on the server, others for whoever loads",
    Layer.RULES,
)
def experiment_on_a_local_disk(scene: Scene, name: str) -> str:
    scene.rescue(name)
    place = scene.folder / "everywhere"
    model = logged_at(scene, name, place.as_uri())
    bundle = write_bundle(place / "models" / model.model_id / "artifacts" / "x")
    inside = bundle.parent / "artifacts"
    inside.mkdir()
    bundle.rename(inside / "bundle")
    said = create(
        scene,
        name,
        f"models:/{model.model_id}",
        run_id=model.source_run_id,
        model_id=model.model_id,
    )
    assert not said
    return scene.refusal(name, "3")


@attack(
    "Make an experiment whose artifacts go to a bucket of one's own, around the seal",
    Layer.RULES,
)
def experiment_in_a_bucket(scene: Scene, name: str) -> str:
    scene.rescue(name)
    model = logged_at(scene, name, "s3://bucket-of-mine/x")
    source = f"models:/{model.model_id}"
    assert not create(scene, name, source, model_id=model.model_id)
    return scene.refusal(name, "3")


@attack(
    "Make an experiment inside the folder of the champion's model, to add files to it",
    Layer.SEAL,
)
def experiment_inside_the_champion(scene: Scene, name: str) -> str:
    scene.rescue(name)
    experiment = scene.client.create_experiment(name, scene.right().location)
    model = scene.client.create_logged_model(experiment)
    path = model.artifact_location.removeprefix("mlflow-artifacts:/")
    return refused(scene.ask(f"{FILES}/{path}/MLmodel", b"other", method="PUT"))


@attack(
    "Point a logged model's row at another host, so that the server reads its own "
    "files and clients get those of that host",
    Layer.RULES,
    holds=f"{CLIENT}, and {SQL_ACCOUNT}",
)
def row_of_another_host(scene: Scene, name: str) -> str:
    scene.rescue(name)
    logged = scene.log()
    place = logged.location.removeprefix("mlflow-artifacts:/")
    there = f"http://example.org/api/2.0/mlflow-artifacts/artifacts/{place}"
    scene.run_sql(
        f"UPDATE logged_models SET artifact_location = '{there}' "
        f"WHERE model_id = '{logged.model_id}'"
    )
    source = f"models:/{logged.model_id}"
    assert not create(scene, name, source, model_id=logged.model_id)
    return scene.refusal(name, "3")


@attack(
    "Register from another version, then delete that one and put another model in its "
    "place",
    Layer.RULES,
)
def registered_from_a_version(scene: Scene, name: str) -> str:
    scene.rescue(name)
    other = scene.model(f"{name}-other", CONTRACT)
    scene.register(other, scene.right())
    assert not create(scene, name, f"models:/{other}/1")
    scene.client.delete_registered_model(other)
    scene.register(scene.model(other), scene.wrong())
    scene.client.set_registered_model_alias(name, "champion", "3")
    assert scene.served(name, "champion") == ("3", scene.right().location)
    return scene.refusal(other, "1")
