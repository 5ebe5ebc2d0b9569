"""The files of a logged model, read and hashed wherever they are stored.

A location is a local folder, the artifact store behind this very server
(`mlflow-artifacts:`), or a remote store such as S3, which is fetched first. Nothing is
unpickled and no path inside a file is followed; sizes and counts are limited.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.host_policy import is_tracking_server_process
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO, NoReturn

    from mlflow.store.artifact.artifact_repo import ArtifactRepository

MAX_FILES = 10_000
MAX_TOTAL_BYTES = 64 * 1024**3
HEAD_BYTES = 4 * 1024**2
ALL_HEADS_BYTES = 64 * 1024**2
CHUNK_BYTES = 4 * 1024**2
WRITTEN_ON_DOWNLOAD = "registered_model_meta"
"""MLflow leaves this file in a model's folder when the model is downloaded."""
PYTHON_CACHE = "__pycache__"
"""Python leaves this folder beside scoring.py when a local model is loaded in place."""
PROXIED = frozenset({"mlflow-artifacts", "http", "https"})
"""Schemes of what a tracking server hands out itself."""
SEALED = "normgate+"
# MLflow's names for them stand in `mlflow.server`, which a client need not import.
ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    sha256: str
    size: int
    """Bytes."""
    head: bytes
    """Of a JSON file the first 4 MiB, of a safetensors file its header; else empty."""


def model_files(location: str) -> dict[str, ModelFile]:
    """Read every file of a logged model once.

    Args:
        location: The logged model's artifact location.

    Returns:
        POSIX path relative to the model's folder, to what was read there.

    Raises:
        TrackingError: If the folder is missing, unreachable, too large or holds a
            symbolic link.
    """
    try:
        with _folder(location) as (root, in_place):
            return dict(_read_all(root, in_place))
    except TrackingError:
        raise
    except Exception as error:  # Each store's client has errors of its own.
        raise TrackingError(f"The model's files can't be read ({error}).") from error


def misplaced(location: str) -> str | None:
    """Say why a server can't answer for what is stored at a location.

    A client names the place where an experiment's artifacts go. What the server reads
    there must be what every client will read, and behind a seal it must stay so.

    Returns:
        One sentence with its remedy; None if the place is the server's own, or if this
        process is no server.
    """
    if not is_tracking_server_process() or _own(location):
        return None
    return (
        f"The model's files are at {location}, which is not this server's artifact "
        "store, so they may be others for another client or later. Log the model to an "
        "experiment that has no artifact location of its own."
    )


def _own(location: str) -> bool:
    place = urlsplit(location)
    if place.scheme in PROXIED:
        return place.netloc in {"", urlsplit(os.environ.get(ROOT, "")).netloc}
    destination = os.environ.get(DESTINATION, "")
    if destination.startswith(SEALED):
        return False
    if not is_local_uri(location):
        return True
    inside = Path(local_file_uri_to_path(location)).resolve()
    roots = (os.environ.get(ROOT), destination)
    own = [Path(local_file_uri_to_path(r)) for r in roots if r and is_local_uri(r)]
    return any(inside.is_relative_to(root.resolve()) for root in own)


def directory_digest(files: Mapping[str, ModelFile]) -> str:
    """SHA-256 over every path and the SHA-256 of its bytes, in order of paths."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(
            f"{path}\0{files[path].sha256}\n".encode("utf-8", "surrogateescape")
        )
    return total.hexdigest()


def _read_all(root: Path, in_place: bool) -> Iterator[tuple[str, ModelFile]]:
    paths = sorted(islice(_paths(root, in_place), MAX_FILES + 1))
    if not paths:
        raise TrackingError("The model has no files.")
    _check_size(len(paths), 0)
    total = heads = 0
    for path in paths:
        total += path.lstat().st_size
        _check_size(0, total)
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or not path.is_file():
            raise TrackingError(
                f"{name} is a link or no plain file, so what it holds can change."
            )
        file = _read(path)
        heads += len(file.head)
        if heads > ALL_HEADS_BYTES:
            raise TrackingError(
                "The model's JSON files and the headers of its weights are larger than "
                f"{ALL_HEADS_BYTES} bytes together."
            )
        yield name, file


def _paths(root: Path, in_place: bool) -> Iterator[Path]:
    ignored = {WRITTEN_ON_DOWNLOAD, PYTHON_CACHE} if in_place else {WRITTEN_ON_DOWNLOAD}
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name in ignored:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
            else:
                yield Path(entry.path)


def _below(root: str) -> Iterator[Path]:
    """Files and links below a folder; one that can't be listed hides nothing."""
    for folder, folders, files in os.walk(root, onerror=_raise):
        here = Path(folder)
        links = (name for name in folders if (here / name).is_symlink())
        yield from (here / name for name in [*files, *links])


def _raise(error: OSError) -> NoReturn:
    raise error


def _read(path: Path) -> ModelFile:
    total, size, head = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        keep = _head_bytes(path.suffix, file)
        while chunk := file.read(CHUNK_BYTES):
            if size < keep:
                head += chunk[: keep - size]
            total.update(chunk)
            size += len(chunk)
    return ModelFile(total.hexdigest(), size, head)


def _head_bytes(suffix: str, file: BinaryIO) -> int:
    """How much of a file is kept to be looked into."""
    if suffix == ".safetensors":
        length = int.from_bytes(file.read(8), "little")
        file.seek(0)
        return min(8 + length, HEAD_BYTES)
    return HEAD_BYTES if suffix == ".json" else 0


def _check_size(count: int, total: int) -> None:
    if count > MAX_FILES or total > MAX_TOTAL_BYTES:
        raise TrackingError(
            f"The model has more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes."
        )


@contextlib.contextmanager
def _folder(location: str) -> Iterator[tuple[Path, bool]]:
    """Give a local folder, and whether it is the model's own and used in place."""
    if is_local_uri(location):
        yield Path(local_file_uri_to_path(location)), True
        return
    repository, path = _repository(location)
    local = repository.get_local_path(path)
    if local is not None:
        yield Path(local), False
        return
    _check_listing(repository, path)
    with tempfile.TemporaryDirectory(prefix="normgate-") as scratch:
        yield Path(repository.download_artifacts(path, scratch)), False


def _repository(location: str) -> tuple[ArtifactRepository, str]:
    """The store that holds a location, and the path inside it.

    MLflow resolves `mlflow-artifacts:` only for clients. A server must ask its own
    handlers, whose functions for it are private, so they are named here alone.
    """
    if urlsplit(location).scheme not in PROXIED:
        return get_artifact_repository(location), ""
    from mlflow.server import handlers

    if not handlers._is_servable_proxied_run_artifact_root(location):
        raise TrackingError(
            f"The model's files at {location} can be read by the server that stores "
            "them, and not from here."
        )
    path = handlers._get_proxied_run_artifact_destination_path(location)
    scoped = handlers._get_workspace_scoped_repo_path_if_enabled(path)
    return handlers._get_artifact_repo_mlflow_artifacts(), scoped or ""


def _check_listing(repository: ArtifactRepository, path: str) -> None:
    """Refuse a remote model that is too large before it is fetched."""
    waiting, count, total = [path], 0, 0
    while waiting:
        for entry in repository.list_artifacts(waiting.pop() or None):
            if entry.is_dir:
                waiting.append(entry.path)
            count, total = count + 1, total + (entry.file_size or 0)
            _check_size(count, total)
