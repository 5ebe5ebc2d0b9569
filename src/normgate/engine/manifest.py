"""The manifest of a bundle: SHA-256 of every file, and nothing beside them.

`manifest.json` is `{"format": "normgate.manifest/1", "files": {path: sha256}}`; its own
SHA-256 is the bundle's digest, which predictions are stamped with.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from normgate.contract import write_atomic
from normgate.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = "normgate.manifest/1"
NAME = "manifest.json"
MAX_BYTES = 4 * 1024 * 1024


def close(folder: Path) -> str:
    """Write the manifest of a folder's files; the digest of the manifest comes back."""
    files = {path: _sha256(folder / path) for path in sorted(_files(folder))}
    document = {"format": FORMAT, "files": files}
    data = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
    write_atomic(folder / NAME, data)
    return hashlib.sha256(data).hexdigest()


def verify(folder: Path) -> str:
    """Make sure that a folder holds exactly the files it was closed with.

    Args:
        folder: The bundle.

    Returns:
        The manifest's own SHA-256, in hex.

    Raises:
        BundleError: A file is missing, altered, extra, or a link.
    """
    data, listed = _read(folder)
    found = set(_files(folder))
    for path in sorted(listed):
        if path not in found:
            raise BundleError(f"{folder}: {path} is missing; fetch the bundle again")
        if _sha256(folder / path) != listed[path]:
            raise BundleError(
                f"{folder}: {path} was altered after the bundle was closed; fetch the "
                "bundle again, or find out who changed it"
            )
    extra = sorted(found - set(listed))
    if extra:
        raise BundleError(
            f"{folder}: {extra[0]} stands in the bundle but not in its manifest; a "
            "bundle holds nothing else"
        )
    return hashlib.sha256(data).hexdigest()


def _read(folder: Path) -> tuple[bytes, dict[str, str]]:
    path = folder / NAME
    try:
        if path.is_symlink() or path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is a link, or larger than {MAX_BYTES} bytes")
        data = path.read_bytes()
        document = json.loads(data)
        listed = document["files"]
        if document["format"] != FORMAT or not isinstance(listed, dict):
            raise ValueError(f"its format is not {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path} is no manifest of a bundle ({error}); name a bundle's folder"
        ) from error
    return data, {str(key): str(value) for key, value in listed.items()}


def _files(folder: Path) -> Iterator[str]:
    """Plain files below a folder, without the manifest; anything else is refused."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(
                f"{folder}: {name} is a link or no plain file, so what it holds can "
                "change; a bundle holds plain files only"
            )
        if path.is_file() and name != NAME:
            yield name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
