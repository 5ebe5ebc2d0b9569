"""Collecting evidence on one model version: from artifact bytes, never from tags.

The tracking store says which logged model stands behind a location and which run made
it; everything else is read from the files. The policy that judges it is in
`normgate.gate`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

from mlflow_normgate.mlmodel import model_problems
from mlflow_normgate.modelfiles import (
    directory_digest,
    directory_digest_of,
    misplaced,
    model_files,
)
from mlflow_normgate.untrusted import json_object, number, shown, some
from normgate.contract import parse_spec
from normgate.errors import NormgateError, TrackingError
from normgate.gate import Card, Evidence, Member
from normgate.gate.vitals import vital_from_record
from normgate.plates.geometry import Geometry, boxes
from normgate.plates.probe import (
    SIDE,
    expected_fingerprint,
    probe_centers,
    probe_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow.entities import LoggedModel

    from mlflow_normgate.modelfiles import ModelFile
    from normgate.contract import Spec

LOCATION = re.compile(r"/models/(m-[0-9a-f]{32})/artifacts/?$")
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


FINGERPRINTS: dict[str, Callable[[Spec, Parsed], str]] = {"plate": _plate_fingerprint}
"""Per family: what its probe must give under a spec and a card."""


def collect(location: str) -> Evidence:
    """Collect the evidence on the model that is stored at a location.

    Nothing is raised for a model that is broken or is none: what is wrong stands in
    the evidence.

    Args:
        location: Where the version's artifacts are, as the registry resolved it.
    """
    model = logged_model(location)
    if model is None:
        return Evidence(model_id=None, ready=False, source_run=None)
    found = Evidence(
        model_id=model.model_id,
        ready=model.status == LoggedModelStatus.READY,
        source_run=_existing_run(model.source_run_id),
    )
    elsewhere = misplaced(location)
    if elsewhere is not None:
        return replace(found, problems=some([elsewhere]))
    try:
        files = model_files(location)
    except TrackingError as error:
        return replace(found, problems=some([str(error)]))
    found = replace(found, directory_digest=directory_digest(files))
    return _read_bundle(found, files)


def location_of(model_id: str) -> str | None:
    """Where a logged model is stored; None if this tracking store has no such model."""
    try:
        return str(MlflowClient().get_logged_model(model_id).artifact_location)
    except MlflowException:
        return None


def logged_model(location: str) -> LoggedModel | None:
    """The logged model of this tracking store that owns a location, if any."""
    match = LOCATION.search(location)
    if match is None:
        return None
    try:
        model = MlflowClient().get_logged_model(match[1])
    except MlflowException:
        return None
    same = model.artifact_location.rstrip("/") == location.rstrip("/")
    return model if same else None


def served_digest(location: str) -> str | None:
    """The directory digest of what is stored at a location now; None if unreadable.

    What has not changed is not hashed again; see `modelfiles.directory_digest_of`.
    """
    try:
        return directory_digest_of(location, trusted_cache=True)
    except TrackingError:
        return None


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


def _read_bundle(found: Evidence, files: Mapping[str, ModelFile]) -> Evidence:
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


def _existing_run(run_id: str | None) -> str | None:
    if not run_id:
        return None
    try:
        return str(MlflowClient().get_run(run_id).info.run_id)
    except MlflowException:
        return None
