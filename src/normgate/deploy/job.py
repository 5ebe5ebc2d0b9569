"""The job file: what a folder of predictions is of, so that a rerun resumes only it.

`deploy.json` pins the digest of the plate CSV, each model's version and digests, and
the settings that decide the rows. A rerun with anything else is refused by name
rather than mixed into the same folder. A lock keeps a second process out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from normgate.contract.files import write_atomic
from normgate.errors import DigestMismatch, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = "normgate.deploy/1"
NAME = "deploy.json"
LOCK = ".deploy.lock"
LEFTOVERS = (
    ".deploy.json.*",
    ".quarantine.csv.*",
    "*/.part-*",
    "*/*/.*.nii.gz.*",
    "*/*/.case.json.*",
    "*/*/.acquisition.json.*",
    "*/*/.latents.csv.*",
    "*/*/.reconstruction.h5.*",
)

Pins = dict[str, Any]
"""A JSON document: nested dicts of strings and numbers."""


def file_sha256(path: Path) -> str:
    """Digest a file in pieces; 64 hex characters.

    Raises:
        SettingsError: If the file can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as reason:
        raise SettingsError(
            f"{path}: can't be read ({reason.strerror}); give an existing file"
        ) from reason


def open_job(out: Path, pins: Pins) -> bool:
    """Begin a job in a folder, or make sure that the folder holds this very job.

    Args:
        out: The folder; made where it is missing.
        pins: What decides the predictions.

    Returns:
        True if the job was begun earlier and is to be resumed.

    Raises:
        DigestMismatch: If the folder holds another job, with every difference, or
            predictions of unknown origin.
    """
    path = out / NAME
    pins = {"format": FORMAT, **pins}
    if not path.exists():
        _refuse_unknown(out)
        write_atomic(path, (json.dumps(pins, indent=2, sort_keys=True) + "\n").encode())
        return False
    found = differences(_read(path), pins)
    if found:
        raise DigestMismatch(
            f"{out} holds another deployment: {'; '.join(found)}; "
            "give another out folder, or the models, data and settings of then"
        )
    return True


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name each value that differs between two job documents, in words."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return [
        f"{key} was {old.get(key, 'absent')}, is {new.get(key, 'absent')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock ends with the process, however it ends.

    Leftovers of writes that a kill cut off are removed.

    Raises:
        SettingsError: If another process is deploying into the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as reason:
            raise SettingsError(
                f"another process is deploying into {out}; "
                "wait for it, or give another out folder"
            ) from reason
        for leftover in chain.from_iterable(map(out.glob, LEFTOVERS)):
            leftover.unlink(missing_ok=True)
        yield


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as reason:
        raise DigestMismatch(
            f"{path}: can't be read ({reason}); give another out folder"
        ) from reason
    if not isinstance(document, dict):
        raise DigestMismatch(f"{path}: not a job file; give another out folder")
    return document


def _refuse_unknown(out: Path) -> None:
    strays = sorted(out.glob("*/part-*.parquet"))
    if strays:
        raise DigestMismatch(
            f"{out} holds predictions but no {NAME} (first: {strays[0].name} in "
            f"{strays[0].parent.name}), so their origin is unknown; "
            "give another out folder"
        )


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    else:
        yield key, value
