"""Specs, provenance and contracts as JSON files, read strictly and written whole.

Numbers in a file are decimals: they are read and written without passing through
binary floating point.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from normgate.contract.contract import Contract
from normgate.contract.describe import number
from normgate.contract.digest import spec_digest
from normgate.contract.explain import explain
from normgate.contract.provenance import Provenance
from normgate.contract.spec import Spec
from normgate.errors import ContractError, NormgateError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
MAX_COUNT_DIGITS = 18

_Model = TypeVar("_Model", bound=BaseModel)


def parse_spec(data: bytes, source: str = "spec") -> Spec:
    """Read a spec from JSON bytes.

    Args:
        data: UTF-8 JSON of format `normgate.spec/1`.
        source: What to call the bytes in an error, usually the file's path.

    Raises:
        SpecError: With the channel and step that are at fault.
    """
    spec = _parse(data, source, Spec, SpecError)
    try:
        spec_digest(spec)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from error
    return spec


def parse_contract(data: bytes, source: str = "contract") -> Contract:
    """Read a contract from JSON bytes.

    Raises:
        ContractError: With the channel and step that are at fault.
    """
    return _parse(data, source, Contract, ContractError)


def parse_provenance(data: bytes, source: str = "provenance") -> Provenance:
    """Read provenance from JSON bytes.

    Raises:
        SpecError: With the field that is at fault.
    """
    return _parse(data, source, Provenance, SpecError)


def read_spec(path: Path) -> Spec:
    """Read a spec file.

    Raises:
        SpecError: If the file is absent or not a valid spec.
    """
    return parse_spec(_read(path, SpecError), str(path))


def read_contract(path: Path) -> Contract:
    """Read a contract file.

    Raises:
        ContractError: If the file is absent or not a valid contract.
    """
    return parse_contract(_read(path, ContractError), str(path))


def provenance_beside(spec_path: Path) -> Provenance | None:
    """What was written beside a spec of its constants' origin; None where nothing was.

    That of `spec.json` is `provenance.json`, that of `name.json` is
    `name.provenance.json`.

    Raises:
        SpecError: If the file is not valid.
    """
    own = spec_path.with_suffix(".provenance.json")
    shared = spec_path.with_name("provenance.json")
    found = shared if spec_path.name == "spec.json" and shared.exists() else own
    return parse_provenance(found.read_bytes(), str(found)) if found.exists() else None


def to_json(value: BaseModel) -> bytes:
    """Write a spec, provenance or contract as indented JSON, decimals exact."""
    return (_dump(value.model_dump(mode="python"), 0) + "\n").encode()


def write(path: Path, value: BaseModel) -> None:
    """Write a spec, provenance or contract to a file, whole or not at all."""
    write_atomic(path, to_json(value))


def write_atomic(path: Path, data: bytes) -> None:
    """Write bytes under a temporary name, flush to disk, and rename.

    Args:
        path: The final file; its folder is made where it is missing.
        data: The whole content.
    """
    with replacing(path) as file:
        file.buffer.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A file to write text to, which takes its name when it is whole.

    Args:
        path: The final file; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path, error: type[NormgateError]) -> bytes:
    try:
        return path.read_bytes()
    except OSError as reason:
        raise error(f"{path}: can't be read ({reason.strerror})") from reason


def _parse(
    data: bytes, source: str, model: type[_Model], error: type[NormgateError]
) -> _Model:
    try:
        document = _load(data)
        if isinstance(document, dict) and "format" not in document:
            raise ValueError("it has no 'format'")
        return model.model_validate(document)
    except ValidationError as problem:
        raise error(f"{source}: {explain(problem, _load(data))}") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{source}: not valid JSON for normgate ({problem})") from problem


def _load(data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes, expected at most {MAX_BYTES}")
    document = json.loads(
        data,
        parse_int=Decimal,
        parse_float=Decimal,
        parse_constant=Decimal,
        object_pairs_hook=_refuse_repeated,
    )
    return _frozen(document, MAX_DEPTH)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice!r} stands more than once")
    return document


_WHOLE = {"version", "ddof", "images", "pixels"}


def _frozen(value: Any, depth: int, key: str = "") -> Any:
    """Turn lists into tuples, and counts into ints, as the strict models want."""
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {name: _frozen(item, depth - 1, name) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(_frozen(item, depth - 1) for item in value)
    if key in _WHOLE and isinstance(value, Decimal) and _is_count(value):
        return int(value)
    return value


def _is_count(value: Decimal) -> bool:
    # The size comes first: 1e999999 is a short text and a very long integer.
    small = value.is_finite() and value.adjusted() < MAX_COUNT_DIGITS
    return small and value == int(value)


def _dump(value: Any, level: int) -> str:
    pad, close = "  " * (level + 1), "  " * level
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {_dump(v, level + 1)}" for k, v in value.items()]
        short = "{" + ", ".join(items) + "}"
        flat = not any(isinstance(v, dict | tuple) and v for v in value.values())
        if flat and len(short) + len(close) <= 88:
            return short
        return "{\n" + ",\n".join(pad + item for item in items) + "\n" + close + "}"
    if isinstance(value, tuple | list):
        if not value:
            return "[]"
        items = [_dump(item, level + 1) for item in value]
        return "[\n" + ",\n".join(pad + item for item in items) + "\n" + close + "]"
    if isinstance(value, Decimal):
        return number(value)
    return json.dumps(value)
