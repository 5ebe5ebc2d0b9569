"""Real servers with sealed artifacts, in a local folder and in S3, and attacks on them.

The registered model's bytes are what counts: each test ends by looking at them.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.workspace_context import WorkspaceContext
from tests.tracking.bundle_files import (
    CONTRACT,
    log_folder,
    trained_bundle,
    write_bundle,
)
from tests.tracking.conftest import Server, clean_environment

from mlflow_normgate import reserved
from mlflow_normgate.bundles import log_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities import LoggedModel
    from tests.objectstore import ObjectStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
]

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
UPLOADS = "/api/2.0/mlflow-artifacts/mpu"
PROXY = "mlflow-artifacts:/"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str


def send(
    server: Server, method: str, path: str, body: bytes = b"", workspace: str = ""
) -> Answer:
    """Send one request whose path stays as it is spelled."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
    if method == "POST":
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())
    finally:
        connection.close()


def post(server: Server, at: str, **fields: Any) -> Answer:
    return send(server, "POST", at, json.dumps(fields).encode())


def place(model: LoggedModel) -> str:
    return str(model.artifact_location).removeprefix(PROXY)


def options(folder: Path, destination: str) -> list[str]:
    database = f"normgate+sqlite:///{folder}/server.db"
    return ["--artifacts-destination", destination, "--registry-store-uri", database]


@contextmanager
def running(server: Server) -> Iterator[MlflowClient]:
    """Let a server run, and let this process be its client."""
    before = mlflow.get_tracking_uri()
    server.start()
    try:
        mlflow.set_tracking_uri(server.uri)
        yield MlflowClient(server.uri)
    finally:
        mlflow.set_tracking_uri(before)
        server.stop()


# In a local folder, with workspaces.


@dataclass(frozen=True, slots=True)
class Registered:
    """A server with a registered model in each of two workspaces."""

    server: Server
    folder: Path
    client: MlflowClient
    models: dict[str, LoggedModel]

    def files(self) -> dict[str, bytes]:
        """Every file of both models."""
        roots = (self.folder / place(model) for model in self.models.values())
        found = (path for root in roots for path in root.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("sealed")
    store = folder / "store"
    chosen = options(folder, f"normgate+{store.as_uri()}")
    server = Server(folder, options=[*chosen, "--enable-workspaces"])
    with running(server) as client:
        mlflow.create_workspace("other")
        models = {}
        for workspace in ("other", "default"):
            mlflow.set_workspace(workspace)
            logged = log_folder(client, write_bundle(folder / workspace / "bundle"))
            client.create_registered_model("rescue")
            model = client.get_logged_model(logged.model_id)
            client.create_model_version(
                "rescue", logged.source, logged.run_id, model_id=model.model_id
            )
            models[workspace] = model
        mlflow.set_workspace(None)
        yield Registered(server, store, client, models)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("workspace", ["default", "other"])
@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda path: f"{path}/MLmodel", id="file"),
        pytest.param(lambda path: f"{path}/artifacts/bundle/x.json", id="new-file"),
        pytest.param(lambda path: path, id="folder"),
        pytest.param(lambda path: path.rsplit("/", 1)[0], id="model"),
        pytest.param(lambda path: path.rsplit("/", 2)[0], id="models"),
        pytest.param(lambda path: path.rsplit("/", 3)[0], id="experiment"),
        pytest.param(lambda path: f"{path.replace('/', '//')}/MLmodel", id="slashes"),
        pytest.param(lambda path: f"{path.replace('/', '/./')}/MLmodel", id="dots"),
        pytest.param(lambda path: f"{path}/x/../MLmodel", id="up"),
        pytest.param(lambda path: f"{path}/x/%2e%2e/MLmodel", id="encoded-up"),
        pytest.param(lambda path: f"{path}/x/%252e%252e/MLmodel", id="twice-encoded"),
        pytest.param(
            lambda path: f"{path.replace('m-', '%6D-')}/MLmodel", id="encoded"
        ),
        pytest.param(lambda path: f"{path.upper()}/MLmodel", id="capitals"),
        pytest.param(lambda path: f"{path}/MLmodel%00", id="zero-byte"),
        pytest.param(lambda path: f"file:///{path}/MLmodel", id="scheme"),
        pytest.param(lambda path: f"workspaces/other/{path}/MLmodel", id="prefix"),
        pytest.param(lambda path: f"{path}/MLmodel?x=1#y", id="query"),
        pytest.param(lambda path: f"{path}/MLmodel/", id="slash-at-the-end"),
    ],
)
def test_no_spelling_reaches_a_registered_model(
    local: Registered, method: str, workspace: str, spelled: Any
) -> None:
    path, before = place(local.models[workspace]), local.files()
    for header in ("default", "other"):
        at = f"{ARTIFACTS}/{spelled(path)}"
        answer = send(local.server, method, at, b"another", header)
        assert 400 <= answer.status < 500, answer
        assert local.files() == before


def test_the_refusal_over_http_is_one_sentence_for_a_person(local: Registered) -> None:
    model = local.models["default"]
    at = f"{ARTIFACTS}/{place(model)}/MLmodel"
    answer = send(local.server, "PUT", at, b"another", "default")
    told = json.loads(answer.text)
    assert (answer.status, told["error_code"]) == (403, "PERMISSION_DENIED")
    assert told["message"] == (
        f"{model.model_id} is sealed, for a version is made of it: none of its files "
        "can be added, replaced or uploaded any more. Log a new model with the files "
        "that you want, and register that one."
    )


def test_an_upload_over_http_that_the_seal_overtakes_is_refused(
    local: Registered,
) -> None:
    client, experiment = local.client, local.models["default"].experiment_id
    with WorkspaceContext("default"):
        model = client.create_logged_model(experiment, name="late")
    at = f"{ARTIFACTS}/{place(model)}/MLmodel"
    assert send(local.server, "PUT", at, b"as it was", "default").status == 200
    connection = http.client.HTTPConnection("127.0.0.1", local.server.port, timeout=30)
    connection.putrequest("PUT", at)
    connection.putheader("X-MLFLOW-WORKSPACE", "default")
    connection.putheader("Content-Length", "10")
    connection.endheaders(b"other")
    time.sleep(0.5)  # The server has asked once and waits for the rest.
    with WorkspaceContext("default"):
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    connection.send(b"bytes")
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"is sealed, for it is READY" in answer.read()
    connection.close()
    files = list((local.folder / place(model)).iterdir())
    assert [file.read_text() for file in files] == ["as it was"]


def test_an_experiment_inside_a_sealed_model_is_no_way_in(tmp_path: Path) -> None:
    """Without workspaces a client names where the artifacts of an experiment go."""
    store = tmp_path / "store"
    chosen = options(tmp_path, f"normgate+{store.as_uri()}")
    server = Server(tmp_path, options=chosen)
    with running(server) as client:
        logged = log_folder(client, write_bundle(tmp_path / "bundle"))
        inside = store / logged.location.removeprefix(PROXY)
        before = sorted(inside.rglob("*"))
        for number, location in enumerate((str(inside), inside.as_uri())):
            experiment = client.create_experiment(f"inside-{number}", location)
            run = client.create_run(experiment).info.run_id
            at = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x"
            answer = send(server, "POST", at, b"x")
            assert answer.status == 403, answer
            assert "is sealed" in answer.text
        assert sorted(inside.rglob("*")) == before


# In S3.


@dataclass(frozen=True, slots=True)
class Promoted:
    """A server that keeps artifacts in S3, with a promoted bundle."""

    server: Server
    store: ObjectStore
    bucket: str
    client: MlflowClient
    model: LoggedModel

    def objects(self, model: LoggedModel | None = None) -> dict[str, bytes]:
        """Every object of a model."""
        prefix = f"prefix/{place(model or self.model)}"
        get = self.store.client.get_object
        return {
            key: get(Bucket=self.bucket, Key=key)["Body"].read()
            for key in self.store.keys(self.bucket, prefix)
        }

    def new(self) -> LoggedModel:
        """A logged model that is not READY."""
        return self.client.create_logged_model(self.model.experiment_id, name="late")


@pytest.fixture(scope="module")
def s3(
    tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Promoted]:
    folder, bucket = tmp_path_factory.mktemp("s3"), object_store.bucket()
    chosen = options(folder, f"normgate+s3://{bucket}/prefix")
    server = Server(folder, options=chosen, environment=object_store.environment)
    with running(server) as client:
        mlflow.set_experiment("in S3")
        run = mlflow.start_run().info.run_id
        made = log_bundle(
            trained_bundle(folder / "bundle"), run_id=run, registered_name="rescue"
        )
        mlflow.end_run()
        bind = reserved.binding(CONTRACT, "for a test")
        client.set_registered_model_tag("rescue", reserved.BIND, bind)
        client.set_registered_model_alias("rescue", "champion", made.version)
        model = client.get_logged_model(made.model_id)
        yield Promoted(server, object_store, bucket, client, model)


def test_a_bundle_in_s3_is_promoted_and_loaded(s3: Promoted, tmp_path: Path) -> None:
    assert s3.client.get_model_version_by_alias("rescue", "champion").version == "1"
    uri = "models:/rescue@champion"
    fetched = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))
    stored = {
        key.split("/artifacts/", 1)[1]: data for key, data in s3.objects().items()
    }
    assert (tmp_path / "MLmodel").read_bytes() == stored["MLmodel"], fetched
    assert "artifacts/bundle/members/00.safetensors" in stored


def test_nothing_of_a_promoted_model_changes_in_s3(s3: Promoted) -> None:
    path, before = place(s3.model), s3.objects()
    names = [f"{path}/MLmodel", f"{path}/new", f"{path}//MLmodel", f"{path}%2Fnew"]
    for name in names:
        assert send(s3.server, "PUT", f"{ARTIFACTS}/{name}", b"x").status == 403
    parents = [path.rsplit("/", count)[0] for count in range(4)]
    for name in (f"{path}/MLmodel", *parents):
        assert send(s3.server, "DELETE", f"{ARTIFACTS}/{name}").status == 403
    begun = post(s3.server, f"{UPLOADS}/create/{path}", path="MLmodel", num_parts=1)
    assert begun.status == 403
    assert s3.objects() == before


def test_an_upload_in_parts_that_the_seal_overtakes_is_refused(s3: Promoted) -> None:
    model = s3.new()
    at = place(model)
    begun = post(s3.server, f"{UPLOADS}/create/{at}", path="MLmodel", num_parts=1)
    assert begun.status == 200
    upload = json.loads(begun.text)
    part = requests.put(upload["credentials"][0]["url"], data=b"x" * 10, timeout=30)
    s3.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    done = post(
        s3.server,
        f"{UPLOADS}/complete/{at}",
        path="MLmodel",
        upload_id=upload["upload_id"],
        parts=[{"part_number": 1, "etag": part.headers["ETag"]}],
    )
    assert done.status == 403
    assert "is sealed, for it is READY" in done.text
    ended = post(
        s3.server,
        f"{UPLOADS}/abort/{at}",
        path="MLmodel",
        upload_id=upload["upload_id"],
    )
    assert ended.status == 200
    assert s3.objects(model) == {}


def test_an_upload_in_parts_works_until_the_seal(s3: Promoted) -> None:
    model = s3.new()
    at = place(model)
    begun = post(s3.server, f"{UPLOADS}/create/{at}", path="MLmodel", num_parts=1)
    upload = json.loads(begun.text)
    part = requests.put(upload["credentials"][0]["url"], data=b"x" * 10, timeout=30)
    done = post(
        s3.server,
        f"{UPLOADS}/complete/{at}",
        path="MLmodel",
        upload_id=upload["upload_id"],
        parts=[{"part_number": 1, "etag": part.headers["ETag"]}],
    )
    assert done.status == 200, done
    assert list(s3.objects(model).values()) == [b"x" * 10]


def test_no_address_to_upload_to_is_handed_out_for_a_model(s3: Promoted) -> None:
    """With one, a client could write long after the model was promoted."""
    bucket = f"s3://{s3.bucket}/prefix"
    direct = s3.client.create_experiment("direct", f"{bucket}/direct")
    inside = s3.client.create_experiment("inside", f"{bucket}/{place(s3.model)}")
    model = s3.client.create_logged_model(direct, name="direct")
    run = s3.client.create_run(inside).info.run_id
    at, before = "/api/2.0/mlflow/artifacts/presigned-upload-url", s3.objects()
    for subject in ({"model_id": model.model_id}, {"run_id": run}):
        answer = post(s3.server, at, path="MLmodel", **subject)
        assert answer.status == 403, answer
        assert "would outlive the model's seal" in answer.text
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x"
    assert send(s3.server, "POST", upload, b"x").status == 403
    assert s3.objects() == before
    plain = s3.client.create_run(direct).info.run_id
    assert post(s3.server, at, run_id=plain, path="x").status == 200


def test_artifacts_of_runs_come_and_go_in_s3(s3: Promoted) -> None:
    run = s3.client.create_run(s3.model.experiment_id)
    s3.client.log_text(run.info.run_id, "a", "a.txt")
    at = str(run.info.artifact_uri).removeprefix(PROXY)
    assert send(s3.server, "DELETE", f"{ARTIFACTS}/{at}").status == 200
    assert s3.store.keys(s3.bucket, f"prefix/{at}") == []


def gc(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """Run MLflow's own removal of what is deleted, as whoever runs the server."""
    command = [sys.executable, "-m", "mlflow", "gc", "--tracking-uri", server.uri]
    command += ["--backend-store-uri", f"sqlite:///{server.folder}/server.db"]
    command += options
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=server.folder,
        env=clean_environment(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1"),
    )


def test_gc_removes_what_nobody_needs_and_stops_at_what_is_promoted(
    s3: Promoted,
) -> None:
    before, unneeded = s3.objects(), s3.new()
    at = f"{ARTIFACTS}/{place(unneeded)}/MLmodel"
    assert send(s3.server, "PUT", at, b"x").status == 200
    s3.client.finalize_logged_model(unneeded.model_id, LoggedModelStatus.READY)
    for model in (unneeded, s3.model):
        s3.client.delete_logged_model(model.model_id)
    done = gc(s3.server, "--logged-model-ids", unneeded.model_id)
    assert done.returncode == 0, done.stderr
    assert s3.objects(unneeded) == {}
    done = gc(s3.server, "--logged-model-ids", s3.model.model_id)
    assert done.returncode != 0
    assert f"{s3.model.model_id} is sealed, for a version is made of it" in done.stderr
    assert s3.objects() == before
    assert s3.client.get_model_version_by_alias("rescue", "champion").version == "1"


def test_gc_of_an_experiment_leaves_what_is_promoted_where_it_is(s3: Promoted) -> None:
    before, experiment = s3.objects(), str(s3.model.experiment_id)
    unneeded = s3.new().model_id
    s3.client.delete_logged_model(unneeded)
    s3.client.delete_experiment(experiment)
    done = gc(s3.server, "--experiment-ids", experiment, "--logged-model-ids", unneeded)
    assert done.returncode == 0, done.stderr
    with pytest.raises(RestException, match="not found"):
        s3.client.get_logged_model(s3.model.model_id)
    at = f"{ARTIFACTS}/{place(s3.model)}"
    for method, name in (("PUT", f"{at}/MLmodel"), ("DELETE", at)):
        answer = send(s3.server, method, name, b"x")
        assert answer.status == 403
        assert f"{s3.model.model_id} is no logged model of this server" in answer.text
    assert s3.objects() == before
    assert s3.client.get_model_version_by_alias("rescue", "champion").version == "1"


def test_an_object_that_was_swapped_in_the_bucket_is_not_served(s3: Promoted) -> None:
    key = next(key for key in s3.objects() if key.endswith("00.safetensors"))
    data = s3.objects()[key]
    swapped = bytes([*data[:-1], data[-1] ^ 1])
    s3.store.client.put_object(Bucket=s3.bucket, Key=key, Body=swapped)
    with pytest.raises(RestException, match="its files are not those that were allow"):
        s3.client.get_model_version_by_alias("rescue", "champion")
    with pytest.raises(MlflowException):
        mlflow.pyfunc.load_model("models:/rescue@champion")
    s3.store.client.put_object(Bucket=s3.bucket, Key=key, Body=data)
    assert s3.client.get_model_version_by_alias("rescue", "champion").version == "1"
