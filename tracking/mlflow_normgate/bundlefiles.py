"""What a bundle's files say: manifest, spec, card and the marks inside the weights.

They come from a client and are read as such: strictly, within bounds, and without ever
following a path that stands in them. What can't be read is a problem in the evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow_normgate.mlmodel import model_problems
from mlflow_normgate.untrusted import json_object, number, shown, some
from normgate.acquisitions import probe as acquisition_probe
from normgate.acquisitions.geometry import geometry_from_json
from normgate.contract import parse_spec
from normgate.errors import NormgateError
from normgate.gate import Card, Evidence, Member
from normgate.gate.vitals import vital_from_record
from normgate.plates.geometry import Geometry, boxes
from normgate.plates.probe import (
    SIDE,
    expected_fingerprint,
    probe_centers,
    probe_shape,
)
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.probe import expected_fingerprint as volume_fingerprint
from normgate.volumes.probe import probe_voxels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow_normgate.modelfiles import ModelFile
    from normgate.contract import Spec

BUNDLE = "artifacts/bundle/"
MANIFEST, SPEC, CARD = "manifest.json", "spec.json", "card.json"
MANIFEST_FORMAT = "normgate.manifest/1"
CARD_FORMAT = "normgate.card/1"
MAX_VITALS = 10_000
MAX_MEMBERS = 256
MAX_PROBE_VALUES = 128 * 1024**2
"""Pixels of the probe, cut and sized, of all channels: some 24 bytes each."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")

Parsed = dict[str, Any]


def _plate_fingerprint(spec: Spec, card: Parsed) -> str:
    geometry = Geometry.from_json(card["geometry"])
    if len(spec.channels) * _probe_pixels(geometry) > MAX_PROBE_VALUES:
        raise ValueError(f"it has more than {MAX_PROBE_VALUES} values")
    return expected_fingerprint(spec, geometry)


def _probe_pixels(geometry: Geometry) -> int:
    """Pixels of one channel that the probe of a geometry takes."""
    rows, columns = probe_shape(geometry)
    units = len(boxes(geometry, (rows, columns), probe_centers(geometry)))
    return SIDE**2 + rows * columns + units * geometry.size**2


def _fusion_fingerprint(spec: Spec, card: Parsed) -> str:
    geometry = VolumeGeometry.from_json(card["geometry"])
    if probe_voxels(spec, geometry) > MAX_PROBE_VALUES:
        raise ValueError(f"it has more than {MAX_PROBE_VALUES} values")
    return volume_fingerprint(spec, geometry)


def _imc_fingerprint(spec: Spec, card: Parsed) -> str:
    geometry = geometry_from_json(card["geometry"])
    if acquisition_probe.probe_values(spec, geometry) > MAX_PROBE_VALUES:
        raise ValueError(f"it has more than {MAX_PROBE_VALUES} values")
    return acquisition_probe.expected_fingerprint(spec, geometry)


FINGERPRINTS: dict[str, Callable[[Spec, Parsed], str]] = {
    "plate": _plate_fingerprint,
    "fusion": _fusion_fingerprint,
    "imc": _imc_fingerprint,
}
"""Per family: what its probe must give under a spec and a card."""


def read_bundle(found: Evidence, files: Mapping[str, ModelFile]) -> Evidence:
    """Add to the evidence what the files of a model say.

    Args:
        found: What is known of the logged model.
        files: Path inside the model's folder, to what was read there.
    """
    bundle = {
        path.removeprefix(BUNDLE): file
        for path, file in files.items()
        if path.startswith(BUNDLE)
    }
    problems = [*_stray_files(files), *model_problems(files)]
    if not bundle:
        problems.append("The model holds no normgate bundle.")
        return replace(found, problems=some(problems))
    reader = _Reader(bundle, problems)
    members = tuple(_members(reader))
    spec = reader.read(SPEC, lambda data: parse_spec(data, SPEC))
    raw_card = reader.read(CARD, json_object)
    card = fingerprint = None
    if raw_card is not None:
        card = reader.attempt(CARD, lambda: _card(raw_card, len(members)))
    if spec and card:
        fingerprint = reader.attempt(
            "The probe of this spec", lambda: _expected(spec, raw_card)
        )
    broken = reader.attempt(MANIFEST, lambda: tuple(manifest_problems(bundle)))
    return replace(
        found,
        problems=some(problems),
        manifest_problems=some(broken or ()),
        spec=spec,
        card=card,
        members=members,
        expected_fingerprint=fingerprint,
        manifest_digest=bundle[MANIFEST].sha256 if MANIFEST in bundle else None,
    )


def manifest_problems(bundle: Mapping[str, ModelFile]) -> Iterator[str]:
    """Say which files of a bundle are not as its manifest lists them.

    Args:
        bundle: Path inside the bundle, to what was read there.
    """
    listed = _parse_manifest(bundle)
    for path in sorted(listed):
        if path != _plain(path):
            yield f"The manifest lists {path!r}, which is no plain path."
        elif path not in bundle:
            yield f"The manifest lists {path}, which is missing."
        elif bundle[path].sha256 != listed[path]:
            yield f"{path} was altered after the bundle was closed."
    for path in sorted(set(bundle) - set(listed) - {MANIFEST}):
        yield f"{path} stands in the bundle, but not in its manifest."


def weights_metadata(head: bytes, size: int) -> dict[str, str]:
    """Read the metadata of a safetensors file: 8 bytes of length, then JSON.

    Args:
        head: The first bytes of the file.
        size: The length of the whole file in bytes.

    Raises:
        ValueError: If the header is cut, too large or not JSON.
    """
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or length > size - 8 or length > len(head) - 8:
        raise ValueError("its header is cut or too large")
    header = json_object(head[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError("its metadata is no JSON object")
    return {key: str(value) for key, value in metadata.items()}


@dataclass(slots=True)
class _Reader:
    """Reads parts of a bundle, and writes down what can't be read."""

    bundle: Mapping[str, ModelFile]
    problems: list[str]

    def read(self, path: str, parse: Callable[[bytes], Any]) -> Any:
        if path not in self.bundle:
            self.problems.append(f"The bundle has no {path}.")
            return None
        file = self.bundle[path]
        return self.attempt(path, lambda: parse(_whole(file)))

    def attempt(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except _UNREADABLE as error:
            self.problems.append(f"{what} can't be read ({error}).")
            return None


_UNREADABLE = (
    NormgateError,
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


def _stray_files(files: Mapping[str, ModelFile]) -> Iterator[str]:
    for path in sorted(files):
        if path.endswith(PICKLES):
            yield f"{path} may be a pickle, which runs code when it is read."
        elif path.startswith("artifacts/") and not path.startswith(BUNDLE):
            yield f"{path} stands beside the bundle, where nothing else belongs."


def _expected(spec: Spec, card: Parsed) -> str:
    family = card["family"]
    if family not in FINGERPRINTS:
        raise ValueError(f"family {family!r} is unknown to this server")
    return FINGERPRINTS[family](spec, card)


def _members(reader: _Reader) -> Iterator[Member]:
    paths = [path for path in reader.bundle if path.endswith(".safetensors")]
    members = sorted(path for path in paths if path.startswith("members/"))
    if not members:
        reader.problems.append("The bundle has no weights under members/.")
    if len(members) > MAX_MEMBERS:
        reader.problems.append(
            f"The bundle has {len(members)} weights files, expected at most "
            f"{MAX_MEMBERS}."
        )
    for path in members[:MAX_MEMBERS]:
        yield _member(path, reader)


def _member(path: str, reader: _Reader) -> Member:
    file = reader.bundle[path]
    found = reader.attempt(path, lambda: weights_metadata(file.head, file.size)) or {}
    return Member(
        file=shown(path),
        spec_digest=found.get("spec_digest"),
        applied_fingerprint=found.get("applied_fingerprint"),
    )


def _card(raw: Parsed, members: int) -> Card:
    if raw.get("format") != CARD_FORMAT:
        raise ValueError(f"its format is not {CARD_FORMAT}")
    if not isinstance(raw["members"], list) or len(raw["members"]) != members:
        raise ValueError("it and the weights differ in their number of members")
    metrics = {key: number(value) for key, value in raw["metrics"].items()}
    if any(map(math.isinf, metrics.values())):
        raise ValueError("one of its metrics is infinite")
    if len(raw["vitals"]) > MAX_VITALS:
        raise ValueError(f"it lists more than {MAX_VITALS} vitals")
    vitals = (vital_from_record(record) for record in raw["vitals"])
    short = (replace(v, name=shown(v.name), sentence=shown(v.sentence)) for v in vitals)
    return Card(family=str(raw["family"]), metrics=metrics, vitals=tuple(short))


def _parse_manifest(bundle: Mapping[str, ModelFile]) -> dict[str, str]:
    if MANIFEST not in bundle:
        raise ValueError("it is missing")
    manifest = json_object(_whole(bundle[MANIFEST]))
    files = manifest.get("files")
    if manifest.get("format") != MANIFEST_FORMAT or not isinstance(files, dict):
        raise ValueError(f"its format is not {MANIFEST_FORMAT}")
    return {path: str(digest) for path, digest in files.items()}


def _plain(path: str) -> str:
    """The path without anything that could lead elsewhere."""
    parts = path.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in {"", ".", ".."})


def _whole(file: ModelFile) -> bytes:
    if file.size > len(file.head):
        raise ValueError(f"{file.size} bytes, expected at most {len(file.head)}")
    return file.head
