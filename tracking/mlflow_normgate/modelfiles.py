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
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.store.artifact.artifact_repo import ArtifactRepository

MAX_FILES = 10_000
MAX_TOTAL_BYTES = 64 * 1024**3
HEAD_BYTES = 4 * 1024**2
CHUNK_BYTES = 4 * 1024**2
WRITTEN_ON_DOWNLOAD = "registered_model_meta"
"""MLflow leaves this file in a model's folder when the model is downloaded."""
PYTHON_CACHE = "__pycache__"
"""Python leaves this folder beside scoring.py when a local model is loaded in place."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    sha256: str
    size: int
    """Bytes."""
    head: bytes
    """The first bytes, at most 4 MiB, of JSON and safetensors files; else empty."""


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
    except (MlflowException, OSError) as error:
        raise TrackingError(f"The model's files can't be read ({error}).") from error


def directory_digest(files: Mapping[str, ModelFile]) -> str:
    """SHA-256 over every path and the SHA-256 of its bytes, in order of paths."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(
            f"{path}\0{files[path].sha256}\n".encode("utf-8", "surrogateescape")
        )
    return total.hexdigest()


def _read_all(root: Path, in_place: bool) -> Iterator[tuple[str, ModelFile]]:
    paths = sorted(_paths(root, in_place))
    if not paths:
        raise TrackingError("The model has no files.")
    total = 0
    for count, path in enumerate(paths, start=1):
        total += path.lstat().st_size
        _check_size(count, total)
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or not path.is_file():
            raise TrackingError(
                f"{name} is a link or no plain file, so what it holds can change."
            )
        yield name, _read(path)


def _paths(root: Path, in_place: bool) -> Iterator[Path]:
    ignored = {WRITTEN_ON_DOWNLOAD, PYTHON_CACHE} if in_place else {WRITTEN_ON_DOWNLOAD}
    for entry in os.scandir(root):
        if entry.name in ignored:
            continue
        if entry.is_dir(follow_symlinks=False):
            for folder, folders, files in os.walk(entry.path):
                here = Path(folder)
                links = (name for name in folders if (here / name).is_symlink())
                yield from (here / name for name in [*files, *links])
        else:
            yield Path(entry.path)


def _read(path: Path) -> ModelFile:
    keep = HEAD_BYTES if path.suffix in {".json", ".safetensors"} else 0
    total, size, head = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if size < keep:
                head += chunk[: keep - size]
            total.update(chunk)
            size += len(chunk)
    return ModelFile(total.hexdigest(), size, head)


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
    if urlparse(location).scheme not in {"mlflow-artifacts", "http", "https"}:
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
