"""What the seal keeps, in process; what servers refuse is in `test_sealed_servers`."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from tests.tracking.bundle_files import database
from tests.tracking.registering import opened

from mlflow_normgate.modelfiles import directory_digest_of
from mlflow_normgate.seal import models_in
from mlflow_normgate.sealed_local import SealedLocalArtifactRepository
from mlflow_normgate.sealed_s3 import SealedS3ArtifactRepository

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

ID = f"m-{'0a' * 16}"
HTTP = "http://127.0.0.1:1"
READS = "reads"
WRITES_BY = "writes through "
HARMLESS = {
    "artifact_dir": READS,
    "download_archived_trace_data": READS,
    "download_artifacts": READS,
    "download_trace_attachment": READS,
    "download_trace_attachment_to_file": READS,
    "download_trace_data": READS,
    "download_trace_data_to_file": READS,
    "get_download_presigned_url": READS,
    "get_local_path": READS,
    "get_s3_file_upload_extra_args": READS,
    "list_artifacts": READS,
    "max_workers": READS,
    "parse_s3_compliant_uri": READS,
    "abort_multipart_upload": "forgets parts that never became a file",
    "flush_async_logging": f"{WRITES_BY}log_artifact",
    "upload_archived_trace_data": f"{WRITES_BY}upload_archived_trace_data_bytes",
    "upload_archived_trace_data_bytes": f"{WRITES_BY}log_artifact",
    "upload_attachment": f"{WRITES_BY}log_artifact",
    "upload_trace_data": f"{WRITES_BY}log_artifact",
}
"""Public methods that a sealed repository need not have of its own, and why."""


@pytest.mark.parametrize(
    ("plain", "sealed"),
    [
        pytest.param(
            LocalArtifactRepository, SealedLocalArtifactRepository, id="local"
        ),
        pytest.param(S3ArtifactRepository, SealedS3ArtifactRepository, id="s3"),
    ],
)
def test_every_public_method_of_mlflow_is_sealed_or_harmless(
    plain: type[ArtifactRepository], sealed: type[ArtifactRepository]
) -> None:
    public = {name for name in dir(plain) if not name.startswith("_")}
    own = set(vars(sealed))
    assert public - own <= set(HARMLESS), "a new way to write an artifact"
    # S3 writes archived traces without log_artifact, so it seals that as well.
    assert own & set(HARMLESS) <= {"upload_archived_trace_data_bytes"}
    direct = {name for name in vars(plain) if not name.startswith("_")}
    indirect = {name for name in direct - own if HARMLESS[name].startswith(WRITES_BY)}
    assert not indirect, "a store of its own writes past what is sealed"


def test_what_a_streamed_upload_ends_with_is_still_there() -> None:
    assert "_publish_staged_artifact" in vars(LocalArtifactRepository)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        pytest.param(f"1/models/{ID}/artifacts/MLmodel", True, id="plain"),
        pytest.param(f"workspaces/a/1/models/{ID}/artifacts", True, id="workspace"),
        pytest.param(f"1/models/{ID}", True, id="its-folder"),
        pytest.param(f"1//models//{ID}//artifacts", True, id="slashes"),
        pytest.param(f"1/./models/./{ID}/./x", True, id="dots"),
        pytest.param(f"1/x/../models/y/../{ID}/x", True, id="up-and-down"),
        pytest.param(f"1/models/{ID}/../x", True, id="and-out-again"),
        pytest.param(f"1/MODELS/{ID.upper()}/x", True, id="capitals"),
        pytest.param(f"1/models%2F{ID}/x", True, id="encoded"),
        pytest.param(f"1/models%25252F{ID}/x", True, id="encoded-thrice"),
        pytest.param(f"1/models/m-%30%61{ID[4:]}/x", True, id="encoded-digits"),
        pytest.param("1/0123/artifacts/models/best/x", False, id="of-a-run"),
        pytest.param(f"1/other/{ID}/x", False, id="elsewhere"),
        pytest.param(f"1/models/{ID}0/x", False, id="longer"),
    ],
)
def test_a_path_names_its_model_however_it_is_spelled(path: str, named: bool) -> None:
    assert models_in(path) == ({ID} if named else set())


def test_a_model_inside_a_model_is_named_as_well() -> None:
    inner = f"m-{'1' * 32}"
    assert models_in(f"1/models/{ID}/artifacts/models/{inner}/x") == {ID, inner}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with database(tmp_path_factory.mktemp("database")) as found:
        yield found


class Store:
    """A sealed folder, an experiment in it, and its models."""

    def __init__(self, client: MlflowClient, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.uri = f"normgate+{folder.as_uri()}"
        self.experiment = client.create_experiment(folder.parent.name, self.uri)
        self.repository: Any = get_artifact_repository(self.uri)

    def model(self, *, status: LoggedModelStatus | None = None) -> LoggedModel:
        """A logged model of one file."""
        made = self.client.create_logged_model(self.experiment, name="demo")
        self.write(made)
        if status is not None:
            self.client.finalize_logged_model(made.model_id, status)
        return made

    def write(self, model: LoggedModel, text: str = "as it was") -> None:
        file = self.folder.parent / "MLmodel"
        file.write_text(text)
        self.repository.log_artifact(str(file), self.path(model))

    def path(self, model: LoggedModel) -> str:
        return str(model.artifact_location).split(f"{self.folder}/", 1)[1]

    def read(self, model: LoggedModel) -> dict[str, str]:
        root = self.folder / self.path(model)
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_text() for path in files}

    def register(self, model: LoggedModel) -> str:
        name = f"of {model.model_id}"
        self.client.create_registered_model(name)
        self.client.create_model_version(name, f"models:/{model.model_id}")
        return name


@pytest.fixture
def store(client: MlflowClient, tmp_path: Path) -> Store:
    return Store(client, tmp_path / "store")


async def _chunks(data: bytes = b"other") -> AsyncIterator[bytes]:
    yield data


def _folder(place: Path, name: str = "MLmodel") -> str:
    file = place / "sent" / name
    file.parent.mkdir(parents=True)
    file.write_text("other")
    return str(place / "sent")


WRITES: dict[str, Callable[[Any, str, Path], Any]] = {
    "log_artifact": lambda to, path, at: to.log_artifact(
        f"{_folder(at)}/MLmodel", path
    ),
    "log_artifacts": lambda to, path, at: to.log_artifacts(_folder(at), path),
    "log_artifacts-above": lambda to, path, at: to.log_artifacts(
        _folder(at, f"{path}/MLmodel")
    ),
    "log_artifact_from_stream": lambda to, path, _: to.log_artifact_from_stream(
        io.BytesIO(b"other"), "MLmodel", path
    ),
    "log_artifact_from_async_stream": lambda to, path, _: asyncio.run(
        to.log_artifact_from_async_stream(_chunks(), "MLmodel", path)
    ),
    "upload_trace_data": lambda to, path, _: get_artifact_repository(
        f"normgate+{to.artifact_uri}/{path}"
    ).upload_trace_data("{}"),
}
DELETES = {
    "file": lambda path: f"{path}/MLmodel",
    "folder": lambda path: path,
    "models": lambda path: str(Path(path).parents[1]),
    "experiment": lambda path: f"{Path(path).parents[2]}",
    "encoded": lambda path: path.replace("m-", "%6d-"),
    "slashes": lambda path: path.replace("/", "//"),
    "root": lambda _: None,
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("status", [LoggedModelStatus.READY, None], ids=str)
def test_a_model_is_written_to_until_it_is_ready(
    store: Store, tmp_path: Path, how: str, status: LoggedModelStatus | None
) -> None:
    model = store.model(status=status)
    if status is None:
        WRITES[how](store.repository, store.path(model), tmp_path)
        assert (
            "other" in store.read(model).values() or "{}" in store.read(model).values()
        )
        return
    with pytest.raises(MlflowException, match=f"{model.model_id} is sealed") as caught:
        WRITES[how](store.repository, store.path(model), tmp_path)
    assert caught.value.get_http_status_code() == 403
    assert store.read(model) == {"MLmodel": "as it was"}


@pytest.mark.parametrize("what", DELETES)
def test_nothing_of_a_ready_model_is_deleted(store: Store, what: str) -> None:
    model = store.model(status=LoggedModelStatus.READY)
    with pytest.raises(MlflowException, match=f"{model.model_id} is sealed") as caught:
        store.repository.delete_artifacts(DELETES[what](store.path(model)))
    assert caught.value.get_http_status_code() == 403
    assert store.read(model) == {"MLmodel": "as it was"}


def test_a_refusal_says_what_to_do(store: Store) -> None:
    model = store.model(status=LoggedModelStatus.READY)
    with pytest.raises(MlflowException) as caught:
        store.write(model)
    assert caught.value.message == (
        f"{model.model_id} is sealed, for it is READY: none of its files can be added, "
        "replaced or uploaded any more. Log a new model with the files that you want, "
        "and register that one."
    )


def test_a_client_cannot_break_the_seal_of_what_is_registered(store: Store) -> None:
    model = store.model(status=LoggedModelStatus.READY)
    store.register(model)
    client = store.client
    client.finalize_logged_model(model.model_id, LoggedModelStatus.PENDING)
    client.delete_logged_model(model.model_id)
    for act in (
        lambda: store.write(model),
        lambda: store.repository.delete_artifacts(store.path(model)),
    ):
        with pytest.raises(MlflowException, match="for a version is made of it"):
            act()


def test_a_deleted_version_alone_seals_nothing(store: Store) -> None:
    model = store.model()
    name = store.register(model)
    with pytest.raises(MlflowException, match="for a version is made of it"):
        store.write(model)
    store.client.delete_model_version(name, "1")
    store.write(model, "new")
    assert store.read(model) == {"MLmodel": "new"}


def test_a_deleted_model_that_no_version_needs_may_be_removed(store: Store) -> None:
    model = store.model(status=LoggedModelStatus.READY)
    store.client.delete_logged_model(model.model_id)
    with pytest.raises(MlflowException, match="is sealed"):
        store.write(model)
    store.repository.delete_artifacts(store.path(model))
    assert store.read(model) == {}


def test_a_model_that_the_database_does_not_know_is_left_alone(store: Store) -> None:
    path = f"1/models/{ID}/artifacts"
    file = store.folder / path / "MLmodel"
    file.parent.mkdir(parents=True)
    file.write_text("as it was")
    with pytest.raises(
        MlflowException, match="no logged model of this server, so noth"
    ):
        store.repository.log_artifact(str(file), f"{path}/x")
    for folder in (path, "1", None):
        with pytest.raises(MlflowException, match="no logged model of this server"):
            store.repository.delete_artifacts(folder)
    assert file.read_text() == "as it was"


def test_a_download_from_a_sealed_store_changes_nothing(store: Store) -> None:
    """MLflow leaves a note of its own beside what it hands out in place."""
    model = store.model(status=LoggedModelStatus.READY)
    name, location = store.register(model), str(model.artifact_location)
    before = directory_digest_of(location, trusted_cache=False)
    folder = download_artifacts(f"models:/{name}/1")
    assert Path(folder, "MLmodel").read_text() == "as it was"
    assert directory_digest_of(location, trusted_cache=False) == before


@pytest.mark.slow
def test_both_databases_tell_what_is_sealed(database_uri: str, tmp_path: Path) -> None:
    with opened(database_uri, tmp_path) as registry:
        store = Store(registry.client, tmp_path / "store")
        model = store.model()
        name = store.register(model)
        with pytest.raises(MlflowException, match="for a version is made of it"):
            store.write(model)
        registry.client.delete_model_version(name, "1")
        store.write(model, "new")
        registry.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        with pytest.raises(MlflowException, match="for it is READY"):
            store.write(model)


def test_artifacts_of_runs_are_not_sealed(store: Store) -> None:
    run = store.client.create_run(store.experiment).info.run_id
    store.client.log_text(run, "a", "models/a.txt")
    store.client.log_text(run, "b", "models/a.txt")
    store.repository.delete_artifacts(f"{run}/artifacts")
    assert store.client.list_artifacts(run) == []


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_an_upload_that_the_seal_overtakes_is_refused(
    store: Store, blocking: bool
) -> None:
    model = store.model()

    def seal() -> bytes:
        store.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        return b"other"

    class Slow(io.BytesIO):
        def read(self, *amount: Any) -> bytes:
            seal()
            return super().read(*amount)

    async def slow() -> AsyncIterator[bytes]:
        yield b"an"
        yield seal()

    def upload() -> None:
        to, path = store.repository, store.path(model)
        if blocking:
            to.log_artifact_from_stream(Slow(b"another"), "MLmodel", path)
        else:
            asyncio.run(to.log_artifact_from_async_stream(slow(), "MLmodel", path))

    with pytest.raises(MlflowException, match="is sealed"):
        upload()
    assert store.read(model) == {"MLmodel": "as it was"}


def test_a_link_to_a_sealed_model_leads_nowhere(store: Store) -> None:
    model = store.model(status=LoggedModelStatus.READY)
    (store.folder / "way").symlink_to(store.folder / store.path(model))
    file = store.folder.parent / "MLmodel"
    with pytest.raises(MlflowException, match="is sealed"):
        store.repository.log_artifact(str(file), "way")
    for path in ("way/MLmodel", "way"):
        with pytest.raises(MlflowException, match="is sealed"):
            store.repository.delete_artifacts(path)


@pytest.mark.parametrize(
    "path", ["..", "../store-of-others", "%2e%2e/store-of-others", "/etc"]
)
def test_nothing_outside_the_store_is_deleted(store: Store, path: str) -> None:
    (store.folder.parent / "store-of-others").mkdir()
    with pytest.raises(MlflowException, match="outside the artifact directory"):
        store.repository.delete_artifacts(path)
    assert (store.folder.parent / "store-of-others").is_dir()


def test_a_process_without_the_database_writes_no_model(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = store.model()
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACTS_ONLY", "true")
    with pytest.raises(MlflowException, match="only stores artifacts"):
        store.write(model)
    monkeypatch.delenv("_MLFLOW_SERVER_ARTIFACTS_ONLY")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", HTTP)
    with pytest.raises(MlflowException, match="Log through the server"):
        store.write(model)


@pytest.mark.parametrize(
    ("destination", "sealed"),
    [
        pytest.param("normgate+s3://bucket", True, id="sealed"),
        pytest.param("s3://bucket", False, id="plain"),
        pytest.param("", False, id="no-server"),
    ],
)
def test_behind_a_seal_every_address_is_sealed(
    monkeypatch: pytest.MonkeyPatch, destination: str, sealed: bool
) -> None:
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", destination)
    here = SealedLocalArtifactRepository if sealed else LocalArtifactRepository
    there = SealedS3ArtifactRepository if sealed else S3ArtifactRepository
    for address, kind in {
        "/a": here,
        "file:///a": here,
        "s3://a": there,
        "normgate+file:///a": SealedLocalArtifactRepository,
        "normgate+s3://a": SealedS3ArtifactRepository,
    }.items():
        assert type(get_artifact_repository(address)) is kind, address
