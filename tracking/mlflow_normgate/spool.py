"""Records of one run on local disk, written before they are sent anywhere.

A spool is a folder: `records.jsonl` (append only: a header, then operations),
`files/` (copies of what was logged as files), `sent.json` (how far sending has
come), `refused.jsonl` (what the server will never take, and why) and `lock` (held by
the one process that writes or sends). Sending is `mlflow_normgate.replay`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from normgate.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = "normgate.spool/1"
RECORDS, SENT, REFUSED, LOCK, FILES = (
    "records.jsonl",
    "sent.json",
    "refused.jsonl",
    "lock",
    "files",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The run that a spool belongs to, in enough detail to create it later."""

    tracking_uri: str
    experiment_id: str
    name: str
    identity: str
    run_id: str | None
    """None when the server could not be reached to create the run."""
    tags: dict[str, str]
    parent_identity: str | None
    start_ms: int
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class Progress:
    """How far sending has come."""

    offset: int = 0
    """Bytes of `records.jsonl` that were dealt with."""
    deferred: tuple[int, ...] = ()
    """Offsets of files that could not be stored yet, while records went on."""
    refused: int = 0
    """Values that the server refused for good, kept in `refused.jsonl`."""
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One line: where it stands in the file and what it says (`{}` if damaged)."""

    start: int
    end: int
    body: dict[str, Any] = field(default_factory=dict)


def now_ms() -> int:
    """The time as MLflow counts it, in milliseconds since 1970."""
    return int(time.time() * 1000)


class Spool:
    """Reads a spool folder and remembers how far it was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records_file = folder / RECORDS
        self._lock: int | None = None

    def header(self) -> Header:
        """The first line.

        Raises:
            TrackingError: The folder holds no readable spool of this format.
        """
        first = next(self.read(0), None)
        if first is None or first.body.get("format") != FORMAT:
            raise TrackingError(
                f"{self.records_file} does not begin with a {FORMAT} header; remove "
                "the folder if it is not a spool"
            )
        fields = {key: value for key, value in first.body.items() if key != "op"}
        return Header(**fields)

    def read(self, offset: int) -> Iterator[Record]:
        """Whole lines from a byte offset; a torn last line is left out."""
        if not self.records_file.exists():
            return
        with self.records_file.open("rb") as lines:
            lines.seek(offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                end = offset + len(line)
                yield Record(offset, end, _parse(line))
                offset = end

    def progress(self) -> Progress:
        """How far sending has come; the beginning when nothing was sent."""
        try:
            values = json.loads((self.folder / SENT).read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return Progress()
        return Progress(**{**values, "deferred": tuple(values["deferred"])})

    def remember(self, progress: Progress) -> None:
        """Keep the progress; an older one only means sending something twice."""
        temporary = self.folder / (SENT + ".part")
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(self.folder / SENT)

    def refuse(self, body: Mapping[str, Any], reason: str) -> None:
        """Set aside what the server will never take, and count it."""
        with (self.folder / REFUSED).open("a", encoding="ascii") as lines:
            lines.write(json.dumps({**body, "reason": reason}) + "\n")
        progress = self.progress()
        self.remember(replace(progress, refused=progress.refused + 1))

    def waiting(self) -> int:
        """The number of records that were not sent yet."""
        progress = self.progress()
        rest = sum(1 for record in self.read(progress.offset) if _is_data(record))
        return rest + len(progress.deferred)

    def acquire(self) -> bool:
        """Become the only process that writes or sends this spool, if it is free."""
        if self._lock is not None:
            return True
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def release(self) -> None:
        """Let another process send this spool."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Delete the folder after everything was sent and nothing was refused."""
        shutil.rmtree(self.folder, ignore_errors=True)


class SpoolWriter:
    """Appends records to a new spool; one per run and process."""

    def __init__(self, root: Path, header: Header) -> None:
        name = f"{header.start_ms}-{os.getpid()}-{header.identity[:12]}"
        folder = _new_folder(root, name)
        self.spool = Spool(folder)
        if not self.spool.acquire():
            raise TrackingError(f"{folder} is locked by another process; try again")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(folder / RECORDS, flags, 0o644)
        self._mutex = threading.Lock()
        self._torn = False
        self._staged = 0
        self.append({"op": "run", **asdict(header)})

    def append(self, body: Mapping[str, Any]) -> None:
        """Write one record through to the operating system.

        Raises:
            OSError: The disk is full or gone; the record was not kept.
        """
        line = json.dumps(body, allow_nan=False).encode("ascii") + b"\n"
        with self._mutex:
            data = b"\n" + line if self._torn else line
            self._torn = True
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            self._torn = False

    def stage(self, path: Path, name: str | None = None) -> str:
        """Copy a file or folder into the spool, so that the original may change.

        Returns:
            The copy's path relative to the spool folder.
        """
        with self._mutex:
            self._staged += 1
            holder = self.spool.folder / FILES / f"{self._staged:06d}"
        holder.mkdir(parents=True)
        copy = holder / (name or path.resolve().name)
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copyfile(path, copy)
        return copy.relative_to(self.spool.folder).as_posix()

    def flush_to_disk(self) -> None:
        """Survive a power cut too; called by the sender, off the training thread."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Stop writing; the lock stays until `spool.release`."""
        with self._mutex:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def spools(root: Path) -> list[Spool]:
    """Every spool under a folder, oldest first; `root` may be one spool itself."""
    if (root / RECORDS).is_file():
        return [Spool(root)]
    return [Spool(path.parent) for path in sorted(root.glob(f"*/{RECORDS}"))]


def _new_folder(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for attempt in range(1000):
        folder = root / (f"{name}-{attempt}" if attempt else name)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise TrackingError(f"no free name for a spool in {root}; remove old ones")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        body = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _is_data(record: Record) -> bool:
    return bool(record.body) and record.body.get("op") != "run"
