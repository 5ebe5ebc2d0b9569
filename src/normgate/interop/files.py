"""A file or a folder of configurations: each recognized by what it holds, and read.

Files of one model belong together: those of a MONAI bundle by their folder (or by the
name before `__`), those of an nnU-Net data set by their folder.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from normgate.errors import DataError
from normgate.interop import bioimageio, nnunet, stardist, timm
from normgate.interop.declared import Configuration
from normgate.interop.monai import Reading, promise_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SUFFIXES = (".json", ".yaml", ".yml")
LARGEST = 16 * 2**20
"""Bytes; a configuration has some thousands."""
_TOOLS = "MONAI, bioimage.io, nnU-Net, timm and StarDist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a folder holds."""

    configurations: tuple[Configuration, ...]
    files: int
    """Files with a fitting name."""
    strange: tuple[str, ...]
    """Those of no tool that is known."""
    unreadable: tuple[str, ...]
    """Why each of the others could not be read."""
    digest: str
    """SHA-256 over names and bytes of all files."""


def find_configurations(path: Path) -> Found:
    """Read a configuration, or all that lie below a folder.

    Raises:
        DataError: There is none.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(
        one
        for one in (path.rglob("*") if path.is_dir() else [path])
        if one.suffix.lower() in SUFFIXES and one.is_file()
    )
    documents: dict[str, Any] = {}
    unreadable = []
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            data = _bytes(file)
            total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
            documents[name] = _parsed(file, data)
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            reason = " ".join(str(error).split())
            unreadable.append(f"{name}: {reason[:200]}")
    configurations = tuple(_read(documents, root.resolve().name, unreadable))
    known = {file for one in configurations for file in one.files}
    if not configurations:
        reason = f"; {unreadable[0]}" if unreadable else ""
        raise DataError(
            f"{path} holds no configuration of {_TOOLS} "
            f"({len(files)} JSON or YAML files{reason}); name a file or folder of one, "
            "or, for images, their table as `index` makes it"
        )
    return Found(
        configurations=configurations,
        files=len(files),
        strange=tuple(name for name in documents if name not in known),
        unreadable=tuple(unreadable),
        digest=total.hexdigest(),
    )


def _bytes(file: Path) -> bytes:
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{size:,} bytes are more than a configuration has")
    return file.read_bytes()


def _parsed(file: Path, data: bytes) -> Any:
    if file.suffix.lower() == ".json":
        return json.loads(data)
    return yaml.safe_load(data)


def _read(
    documents: Mapping[str, Any], root: str, unreadable: list[str]
) -> Iterator[Configuration]:
    groups: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for file, document in documents.items():
        if isinstance(document, list):
            yield from _listed(document, file)
        elif isinstance(document, dict):
            groups[_group(file, root)][file] = document
    for name, group in groups.items():
        try:
            yield from list(_together(name, group))
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            # Anything can stand in a file of another tool.
            files = ", ".join(group)
            unreadable.append(f"{files}: not built as this tool builds it ({error!r})")


def _group(file: str, root: str) -> str:
    """What a file's model is called."""
    folder, _, stem = f"{root}/{file}".rpartition("/")
    prefix, marked, _ = stem.partition("__")
    if marked:
        return f"{folder}/{prefix}".removeprefix(f"{root}/")
    return folder.removesuffix("/configs").removeprefix(f"{root}/")


def _together(
    name: str, group: Mapping[str, Mapping[str, Any]]
) -> Iterator[Configuration]:
    """Configurations of one folder, or of one name before `__`."""
    if any(map(nnunet.is_plans, group.values())):
        yield nnunet.read(name, _only(group, _of_nnunet))
    bundle = _only(group, _of_monai)
    if bundle:
        yield _bundle(name, bundle)
    for file, document in group.items():
        own = name if len(group) == 1 else f"{name}/{file.rpartition('/')[2]}"
        config = timm.config_of(document)
        if document.get("type") == "model" and "format_version" in document:
            yield bioimageio.read(document, own, file)
        elif stardist.is_config(document):
            yield stardist.read(own, file)
        elif config is not None:
            yield timm.read(config, own, file)


def _listed(documents: Iterable[Any], file: str) -> Iterator[Configuration]:
    """A list of timm's configurations."""
    for place, document in enumerate(documents):
        config = timm.config_of(document)
        if config is not None:
            name = config.get("model") or config.get("architecture") or place
            yield timm.read(config, str(name), file)


def _bundle(name: str, group: Mapping[str, Mapping[str, Any]]) -> Configuration:
    readings, pipelines, promise = [], [], None
    for file, document in group.items():
        promise = promise or promise_of(document, file)
        reading = Reading(file, document)
        trains = "train" in file.rpartition("/")[2]
        pipelines += list(reading.pipelines(trains=trains))
        readings.append(reading)
    return Configuration(
        name=name,
        tool="MONAI",
        files=tuple(group),
        pipelines=tuple(pipelines),
        promise=promise,
        texts=tuple(text for reading in readings for text in reading.texts),
    )


def _of_nnunet(document: Mapping[str, Any]) -> bool:
    kinds = (nnunet.is_plans, nnunet.is_fingerprint, nnunet.is_dataset)
    return any(kind(document) for kind in kinds)


def _of_monai(document: Mapping[str, Any]) -> bool:
    return "network_data_format" in document or _names_a_target(document, set())


def _names_a_target(value: Any, seen: set[int]) -> bool:
    """Whether a `_target_` stands anywhere; what is referred to twice is read once."""
    if not isinstance(value, dict | list) or id(value) in seen:
        return False
    seen.add(id(value))
    inner = value
    if isinstance(value, dict):
        if "_target_" in value:
            return True
        inner = list(value.values())
    return any(_names_a_target(one, seen) for one in inner)


def _only(group: Mapping[str, Mapping[str, Any]], kind: Any) -> dict[str, Any]:
    return {file: document for file, document in group.items() if kind(document)}
