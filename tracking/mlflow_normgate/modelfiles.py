"""The files of a logged model, read and hashed wherever they are stored.

Listing and opening them is `places`' work. Nothing is unpickled and no path inside a
file is followed; what is kept of them is limited. Hashing again what has not changed
can be spared by a cache, which promotions never use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.artifact.host_policy import is_tracking_server_process
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from mlflow_normgate.places import PROXIED, stored_files
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from mlflow_normgate.places import StoredFile

HEAD_BYTES = 4 * 1024**2
ALL_HEADS_BYTES = 64 * 1024**2
CHUNK_BYTES = 4 * 1024**2
READERS = 4
"""Files of a model that are read at once: a remote store takes its time for each."""
MODELS_AT_ONCE = 2
"""Models that one process reads at once: who asks for many more must wait."""
PATIENCE_S = 60.0
"""How long a request waits for its turn to read."""
KNOWN_DIGESTS = 16_384
SMALL_TEXTS = frozenset(
    {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
)
"""What MLflow writes beside a bundle to say how it is loaded."""
SMALL_HEAD_BYTES = 64 * 1024
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
    """What is looked into: of JSON the first 4 MiB, of weights their header, of what
    says how to load a model the first 64 KiB; else empty.
    """


class KnownDigests:
    """SHA-256 of files by their marks, the most recently used ones; thread-safe.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, mark: Hashable) -> str | None:
        """The digest of the file with this mark, if it is known."""
        with self._lock:
            if mark in self._known:
                self._known.move_to_end(mark)
            return self._known.get(mark)

    def put(self, mark: Hashable, digest: str) -> None:
        """Remember a digest, unless there is no mark."""
        if mark is None:
            return
        with self._lock:
            self._known[mark] = digest
            self._known.move_to_end(mark)
            while len(self._known) > self._most:
                self._known.popitem(last=False)


_known = KnownDigests(KNOWN_DIGESTS)
_turns = threading.BoundedSemaphore(MODELS_AT_ONCE)


class Busy(MlflowException):
    """The process reads as many models as it may; 403, so that no client retries."""

    def __init__(self) -> None:
        super().__init__(
            f"The server is reading {MODELS_AT_ONCE} other models and no turn came "
            f"within {PATIENCE_S:g} s, so nothing was decided and nothing changed. Ask "
            "again in a minute.",
            error_code=PERMISSION_DENIED,
        )


def model_files(location: str) -> dict[str, ModelFile]:
    """Read every file of a logged model once.

    Args:
        location: The logged model's artifact location.

    Returns:
        POSIX path relative to the model's folder, to what was read there.

    Raises:
        TrackingError: If the folder is missing, unreachable, too large or holds a
            symbolic link.
        Busy: Other models are being read, and take too long.
    """
    with _told(), stored_files(location) as files:
        return dict(_read_all(files))


def directory_digest(files: Mapping[str, ModelFile]) -> str:
    """SHA-256 over every path and the SHA-256 of its bytes, in order of paths."""
    return _digest({path: file.sha256 for path, file in files.items()})


def directory_digest_of(location: str, *, trusted_cache: bool) -> str:
    """The directory digest of what is stored at a location.

    With the cache, a file counts as unchanged while its name, size and times (local:
    also its inode; S3: its ETag) are those of when it was read. No client of a server
    can set these back. Whoever owns the disk or the bucket can: by setting the clock
    of the machine, by writing to the device itself, or with an object of the same
    MD5 within the same second; the cache does not see that, nor a disk that decays.

    Args:
        location: The logged model's artifact location.
        trusted_cache: Whether such a file need not be read again.

    Raises:
        TrackingError: As `model_files`.
        Busy: Likewise.
    """
    with _told(), stored_files(location) as files:
        found = {f.path: _known.get(f.mark) if trusted_cache else None for f in files}
        unknown = [file for file in files if found[file.path] is None]
        read = {path: file.sha256 for path, file in _read_all(unknown)}
    return _digest({path: digest or read[path] for path, digest in found.items()})


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


def _digest(digests: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for path in sorted(digests):
        line = f"{path}\0{digests[path]}\n"
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell whatever goes wrong with a store in one sentence."""
    try:
        yield
    except (TrackingError, Busy):
        raise
    except Exception as error:  # Each store's client has errors of its own.
        raise TrackingError(f"The model's files can't be read ({error}).") from error


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Wait until this process may read another model."""
    if not _turns.acquire(timeout=PATIENCE_S):
        raise Busy
    try:
        yield
    finally:
        _turns.release()


def _read_all(files: list[StoredFile]) -> Iterator[tuple[str, ModelFile]]:
    if not files:  # What is known already waits for nobody's reading.
        return
    heads = 0
    with _turn(), ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(files), READERS):
            some = files[start : start + READERS]
            for stored, file in zip(some, pool.map(_read, some), strict=True):
                heads += len(file.head)
                if heads > ALL_HEADS_BYTES:
                    raise TrackingError(
                        "The model's text files and the headers of its weights are "
                        f"larger than {ALL_HEADS_BYTES} bytes together."
                    )
                _known.put(stored.mark, file.sha256)
                yield stored.path, file


def _read(stored: StoredFile) -> ModelFile:
    total, size, head, keep = hashlib.sha256(), 0, b"", 0
    with contextlib.closing(stored.open()) as file:
        while chunk := file.read(CHUNK_BYTES):
            keep = keep if size else _head_bytes(stored.path, chunk)
            if size < keep:
                head += chunk[: keep - size]
            total.update(chunk)
            size += len(chunk)
    return ModelFile(total.hexdigest(), size, head)


def _head_bytes(path: str, start: bytes) -> int:
    """How much of a file is kept to be looked into."""
    if path.endswith(".safetensors"):
        return min(8 + int.from_bytes(start[:8], "little"), HEAD_BYTES)
    if path.endswith(".json"):
        return HEAD_BYTES
    return SMALL_HEAD_BYTES if path in SMALL_TEXTS else 0
