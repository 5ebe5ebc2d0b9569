"""Where the files of a logged model are: listed, and opened one by one.

A location is a local folder, the artifact store behind this very server
(`mlflow-artifacts:`), a bucket in S3, whose objects are read as they come, or another
remote store, which is fetched first. What the bytes say is `modelfiles`' work. Nothing
is opened that a link leads to; counts and sizes are limited.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from typing import Any, NoReturn

    from mlflow.store.artifact.artifact_repo import ArtifactRepository

MAX_FILES = 10_000
MAX_TOTAL_BYTES = 64 * 1024**3
WRITTEN_ON_DOWNLOAD = "registered_model_meta"
"""MLflow leaves this file in a model's folder when the model is downloaded."""
CHANGED = "{name} was exchanged while the model was being read. Try again."
SETTLED_S = 2.0
"""Younger files have no mark: a clock may not have ticked when they change again."""
PROXIED = frozenset({"mlflow-artifacts", "http", "https"})
"""Schemes of what a tracking server hands out itself."""


class Readable(Protocol):
    """Bytes that are read from front to back, once."""

    def read(self, amount: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""

    def close(self) -> None:
        """Let go of the file or connection."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model, where it is stored."""

    path: str
    """POSIX, relative to the model's folder."""
    size: int
    """Bytes."""
    open: Callable[[], Readable]
    mark: Hashable = None
    """Another one when the bytes are others; None where nothing tells that."""


@contextlib.contextmanager
def stored_files(location: str) -> Iterator[list[StoredFile]]:
    """List the files of a model, which can be opened inside this context.

    Args:
        location: The logged model's artifact location.

    Raises:
        TrackingError: If there are none or too many, or one is a symbolic link.
    """
    if is_local_uri(location):
        yield _bounded(_local_files(Path(local_file_uri_to_path(location))))
        return
    repository, path = _repository(location)
    local = repository.get_local_path(path)
    if local is not None:
        yield _bounded(_local_files(Path(local)))
    elif isinstance(repository, S3ArtifactRepository):
        yield _bounded(_objects(repository, path))
    else:
        _check_listing(repository, path)
        with tempfile.TemporaryDirectory(prefix="normgate-") as scratch:
            fetched = repository.download_artifacts(path, scratch)
            yield _bounded(_local_files(Path(fetched)))


def _bounded(files: Iterable[StoredFile]) -> list[StoredFile]:
    found = sorted(islice(files, MAX_FILES + 1), key=lambda file: file.path)
    if not found:
        raise TrackingError("The model has no files.")
    _check_size(len(found), sum(file.size for file in found))
    return found


def _check_size(count: int, total: int) -> None:
    if count > MAX_FILES or total > MAX_TOTAL_BYTES:
        raise TrackingError(
            f"The model has more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes."
        )


def _local_files(root: Path) -> Iterator[StoredFile]:
    settled_ns = time.time_ns() - int(SETTLED_S * 1e9)
    for path in _paths(root):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or not path.is_file():
            raise TrackingError(
                f"{name} is a link or no plain file, so what it holds can change."
            )
        found = path.lstat()
        mark = _mark(path, found)
        settled = max(found.st_mtime_ns, found.st_ctime_ns) < settled_ns
        yield StoredFile(
            path=name,
            size=found.st_size,
            open=partial(_open_local, path, mark),
            mark=mark if settled else None,
        )


def _mark(path: Path, found: os.stat_result) -> Hashable:
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return (str(path), found.st_dev, found.st_ino, found.st_size, *times)


def _paths(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _paths_below(entry.path)
            elif entry.name != WRITTEN_ON_DOWNLOAD or entry.is_symlink():
                yield Path(entry.path)


def _paths_below(folder: str) -> Iterator[Path]:
    for at, folders, files in os.walk(folder, onerror=_raise):
        here = Path(at)
        links = (name for name in folders if (here / name).is_symlink())
        yield from (here / name for name in [*files, *links])


def _raise(error: OSError) -> NoReturn:
    raise error


def _objects(repository: S3ArtifactRepository, path: str) -> Iterator[StoredFile]:
    """The objects below a path in S3; a marker of an empty folder is none."""
    bucket, root = repository.parse_s3_compliant_uri(repository.artifact_uri)
    prefix = posixpath.join(root, path).rstrip("/") + "/"
    client, owner = repository._get_s3_client(), repository._bucket_owner_params
    listed = client.get_paginator("list_objects_v2")
    settled = time.time() - SETTLED_S
    for page in listed.paginate(Bucket=bucket, Prefix=prefix, **owner):
        for item in page.get("Contents", []):
            name, size = item["Key"].removeprefix(prefix), int(item["Size"])
            if name == WRITTEN_ON_DOWNLOAD or (name.endswith("/") and not size):
                continue
            changed = item["LastModified"].timestamp()
            mark = (bucket, item["Key"], item["ETag"], changed, size)
            place = {"Bucket": bucket, "Key": item["Key"]}
            yield StoredFile(
                path=name,
                size=size,
                open=partial(_open_object, client, item["ETag"], **place, **owner),
                mark=mark if changed < settled else None,
            )


def _open_local(path: Path, listed: Hashable) -> Readable:
    """Open the very file that was listed, so that no other's bytes count as its."""
    file = path.open("rb")
    if _mark(path, os.fstat(file.fileno())) != listed:
        file.close()
        raise TrackingError(CHANGED.format(name=path.name))
    return file


def _open_object(client: Any, listed: str, **what: str) -> Readable:
    found = client.get_object(**what)
    body: Readable = found["Body"]
    # Some stores quote it in one answer and not in the other.
    if found["ETag"].strip('"') != listed.strip('"'):
        body.close()
        raise TrackingError(CHANGED.format(name=posixpath.basename(what["Key"])))
    return body


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
