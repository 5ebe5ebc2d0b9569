"""The registry as entry points use it: contracts bound, versions promoted, resolved.

Works against a server and against a database file alike; the decisions are the
store's, wherever it runs.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from mlflow_normgate import reserved
from mlflow_normgate.bundlefiles import BUNDLE, MANIFEST, manifest_problems
from mlflow_normgate.modelfiles import directory_digest, model_files
from normgate.contract import short_digest
from normgate.errors import (
    ContractError,
    DigestMismatch,
    PromotionRefused,
    SettingsError,
    TrackingError,
)
from normgate.gate import OPEN_ALIASES, Verdict, protected_alias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities.model_registry import ModelVersion

    from mlflow_normgate.modelfiles import ModelFile
    from normgate.contract import Contract

CHAMPION = "champion"
NEWEST = "latest"
REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """A promoted version, its bundle on this machine and verified."""

    name: str
    """The registered model."""
    alias: str
    version: str
    bundle: Path
    """The bundle's folder."""
    manifest_digest: str
    """SHA-256 of the bundle's manifest: the model's identity in predictions."""
    spec_digest: str
    """The digest of the spec, as the registry recorded it from the bytes."""


def bind_contract(name: str, contract: Contract | None, reason: str) -> None:
    """Bind a contract to a registered model, which is made where it is missing.

    Args:
        name: The registered model.
        contract: What its promoted versions must fulfil; None to release it.
        reason: Why, for whoever asks later.

    Raises:
        ContractError: If the registry does not take it; a promoted version that does
            not fulfil it is named.
    """
    client, text = MlflowClient(), reserved.binding(contract, reason)
    try:
        _make_model(client, name)
        client.set_registered_model_tag(name, reserved.BIND, text)
    except MlflowException as error:
        raise ContractError(_sentence(error)) from error


def bound_contract(name: str) -> str | None:
    """The contract that a registered model stands under, as `plate_3ch version 1`.

    Raises:
        TrackingError: If there is no such model.
    """
    try:
        model = MlflowClient().get_registered_model(name)
    except MlflowException as error:
        raise TrackingError(_sentence(error)) from error
    label: str | None = model.tags.get(reserved.CONTRACT)
    return label


def models_under_contract(contract: str, alias: str = CHAMPION) -> tuple[str, ...]:
    """Registered models that stand under a contract, by its name, and hold an alias."""
    client, token, found = MlflowClient(), None, []
    while True:
        page = client.search_registered_models(page_token=token)
        for model in page:
            label = model.tags.get(reserved.CONTRACT, "")
            if label.rpartition(" version ")[0] == contract and alias in model.aliases:
                found.append(model.name)
        token = page.token
        if not token:
            return tuple(sorted(found))


def newest_version(name: str) -> str:
    """The number of a registered model's newest version.

    Raises:
        TrackingError: If the model has none.
    """
    try:
        return str(MlflowClient().get_model_version_by_alias(name, NEWEST).version)
    except MlflowException as error:
        raise TrackingError(_sentence(error)) from error


def promote(name: str, version: str, alias: str = CHAMPION) -> Verdict:
    """Ask the gate for an alias on a version.

    Returns:
        The verdict, which allowed it; the alias is set.

    Raises:
        PromotionRefused: With every reason, as the registry said it.
        TrackingError: If the model or version is unknown, or the alias is malformed.
    """
    try:
        MlflowClient().set_registered_model_alias(name, alias, version)
    except MlflowException as error:
        refusal = reserved.refusal_sentence(error.message)
        if refusal is not None:
            raise PromotionRefused(refusal) from error
        raise TrackingError(_sentence(error)) from error
    return Verdict()


def resolve(reference: str, destination: Path | None = None) -> Promoted:
    """Find a promoted version, bring its bundle here and verify every file.

    Args:
        reference: `models:/rescue-0ms@champion`, or `rescue-0ms` for its champion.
        destination: A folder to keep the model in, where it is found again; without
            one, a model of a local database is used in place.

    Raises:
        SettingsError: For a version by number or an alias that anyone may set.
        TrackingError: If there is no such model or alias.
        DigestMismatch: If the files are not those that were promoted.
    """
    name, alias = _promoted_alias(reference)
    try:
        found = MlflowClient().get_model_version_by_alias(name, alias)
        model = _fetch(found, destination)
    except MlflowException as error:
        if error.error_code == "PERMISSION_DENIED":
            raise DigestMismatch(_sentence(error)) from error
        raise TrackingError(_sentence(error)) from error
    _verify(model, found, f"{name}@{alias}")
    return Promoted(
        name=name,
        alias=alias,
        version=str(found.version),
        bundle=model / BUNDLE,
        manifest_digest=found.tags[reserved.MANIFEST_DIGEST],
        spec_digest=found.tags[reserved.SPEC_DIGEST],
    )


def _promoted_alias(reference: str) -> tuple[str, str]:
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise SettingsError(
            f"{reference!r} is no promoted model: a version number can't be deployed; "
            "name an alias, as models:/rescue-0ms@champion"
        )
    name, alias = match["name"], match["alias"] or CHAMPION
    if not protected_alias(alias) or alias.lower() == NEWEST:
        open_ones = ", ".join(sorted(OPEN_ALIASES | {NEWEST}))
        raise SettingsError(
            f"{reference!r} is not promoted: anyone may set {open_ones}; promote the "
            f"version and use models:/{name}@{CHAMPION}"
        )
    return name, alias


def _fetch(found: ModelVersion, destination: Path | None) -> Path:
    """Bring the model's folder here; one that is here already is not fetched again."""
    uri = f"models:/{found.name}/{found.version}"
    if destination is None:
        return Path(download_artifacts(artifact_uri=uri))
    digest = found.tags.get(reserved.DIRECTORY_DIGEST, "")
    kept = destination / f"{found.name}-{found.version}-{short_digest(digest)}"
    if not kept.is_dir():
        destination.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination, prefix=".fetch-") as scratch:
            target = Path(scratch) / "model"
            target.mkdir()
            fetched = download_artifacts(artifact_uri=uri, dst_path=str(target))
            Path(fetched).rename(kept)
    return kept


def _verify(model: Path, found: ModelVersion, reference: str) -> None:
    """Hold the files that are here against what the registry recorded."""
    files = model_files(str(model))
    bundle = {
        path.removeprefix(BUNDLE): file
        for path, file in files.items()
        if path.startswith(BUNDLE)
    }
    recorded = found.tags.get(reserved.DIRECTORY_DIGEST)
    manifest = found.tags.get(reserved.MANIFEST_DIGEST)
    if recorded is None or manifest is None or reserved.SPEC_DIGEST not in found.tags:
        raise DigestMismatch(
            f"{reference} is version {found.version}, which was never promoted by the "
            "gate; register it again and promote it"
        )
    same = directory_digest(files) == recorded
    if not (same and _intact(bundle) and bundle[MANIFEST].sha256 == manifest):
        raise DigestMismatch(
            f"{reference} is version {found.version}, but the files in {model} are not "
            "those that were promoted; remove that folder or promote the model again"
        )


def _intact(bundle: Mapping[str, ModelFile]) -> bool:
    try:
        return not any(manifest_problems(bundle))
    except ValueError:
        return False


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _sentence(error: MlflowException) -> str:
    """What MLflow said, without the error code that its client puts in front."""
    return str(error.message).removeprefix(f"{error.error_code}: ")
