from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    RIGHT,
    WRONG,
    database,
    log_folder,
    second_version,
    write_bundle,
)

from mlflow_normgate import reserved
from mlflow_normgate.registry import (
    bind_contract,
    bound_contract,
    models_under_contract,
    newest_version,
    promote,
    resolve,
)
from normgate.contract import spec_digest
from normgate.errors import (
    ContractError,
    DigestMismatch,
    PromotionRefused,
    SettingsError,
    TrackingError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.contract import Spec


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with database(tmp_path_factory.mktemp("registry"), "sqlite") as found:
        yield found


@pytest.fixture
def name(client: MlflowClient, tmp_path: Path) -> str:
    bind_contract(tmp_path.name, CONTRACT, "first of its kind")
    return tmp_path.name


def register(name: str, folder: Path, spec: Spec = RIGHT) -> Path:
    """Register a bundle, and return where the logged model is stored."""
    client = MlflowClient()
    place = folder / f"{len(list(folder.iterdir()))}"
    logged = log_folder(client, write_bundle(place, spec))
    client.create_model_version(name, logged.source, tags={reserved.BUNDLE: "1"})
    return Path(logged.location.removeprefix("file://"))


def test_a_contract_is_bound_and_released(name: str) -> None:
    assert bound_contract(name) == "plate version 1"
    bind_contract(name, second_version(), "recalibrated")
    assert bound_contract(name) == "plate version 2"
    bind_contract(name, None, "no longer deployed")
    assert bound_contract(name) is None


def test_a_contract_is_not_bound_without_a_reason(name: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        bind_contract(name, CONTRACT, "  ")


def test_a_contract_that_a_champion_breaks_is_told(name: str, tmp_path: Path) -> None:
    register(name, tmp_path)
    promote(name, newest_version(name))
    with pytest.raises(ContractError, match=f"champion of {name} is version 1"):
        bind_contract(name, FLUORESCENCE, "mistaken")
    assert bound_contract(name) == "plate version 1"


def test_a_model_nobody_registered_has_no_contract(client: MlflowClient) -> None:
    with pytest.raises(TrackingError, match="nobody"):
        bound_contract("nobody")
    with pytest.raises(TrackingError, match="nobody"):
        newest_version("nobody")


def test_the_refusal_comes_back_word_for_word(name: str, tmp_path: Path) -> None:
    register(name, tmp_path, WRONG)
    with pytest.raises(PromotionRefused) as caught:
        promote(name, newest_version(name))
    said = str(caught.value)
    assert said.startswith(f"Promotion of {name} version 1 to champion refused: ")
    for words in ("Channel RFP1", "Channel HALO ", "Channel HALO_MASKED", "0.2233"):
        assert words in said


def test_what_is_no_refusal_is_a_tracking_error(name: str) -> None:
    with pytest.raises(TrackingError, match="not found"):
        promote(name, "7")
    with pytest.raises(TrackingError):
        promote(name, "1", "not an alias")


def test_a_champion_is_found_with_its_verified_bundle(
    name: str, tmp_path: Path
) -> None:
    register(name, tmp_path)
    assert promote(name, newest_version(name)).allowed
    found = resolve(f"models:/{name}@champion")
    assert resolve(name) == found
    assert (found.name, found.alias, found.version) == (name, "champion", "1")
    assert found.spec_digest == spec_digest(RIGHT)
    assert (found.bundle / "manifest.json").is_file()
    assert name in models_under_contract("plate")
    assert models_under_contract("plate", "production") == ()
    assert models_under_contract("other") == ()


def test_a_kept_copy_is_used_again_and_verified_again(
    name: str, tmp_path: Path
) -> None:
    register(name, tmp_path)
    promote(name, "1")
    kept = tmp_path / "kept"
    first = resolve(name, kept)
    card = first.bundle / "card.json"
    written = card.stat().st_mtime_ns
    assert resolve(name, kept) == first
    assert card.stat().st_mtime_ns == written
    assert [path.name.startswith(name) for path in kept.iterdir()] == [True]
    card.write_text("{}")
    with pytest.raises(DigestMismatch, match="not those that were promoted"):
        resolve(name, kept)


def test_a_champion_whose_bytes_changed_is_not_deployed(
    name: str, tmp_path: Path
) -> None:
    stored = register(name, tmp_path)
    promote(name, "1")
    (stored / "artifacts" / "bundle" / "card.json").write_text("{}")
    with pytest.raises(DigestMismatch, match="not those that were allowed"):
        resolve(name)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("models:/rescue/3", "a version number can't be deployed"),
        ("models:/m-0123", "unknown"),
        ("models:/rescue@candidate", "anyone may set candidate"),
        ("models:/rescue@latest", "anyone may set"),
        ("runs:/abc/model", "is no promoted model"),
        ("", "is no promoted model"),
    ],
)
@pytest.mark.usefixtures("client")
def test_only_promoted_aliases_are_deployed(reference: str, words: str) -> None:
    if words == "unknown":
        with pytest.raises(TrackingError, match="not found"):
            resolve(reference)
        return
    with pytest.raises(SettingsError, match=words):
        resolve(reference)


def test_what_was_promoted_without_the_gate_is_not_deployed(tmp_path: Path) -> None:
    with database(tmp_path, "sqlite") as plain:
        plain.create_registered_model("theirs")
        logged = log_folder(plain, write_bundle(tmp_path / "b"))
        plain.create_model_version("theirs", logged.source)
        plain.set_registered_model_alias("theirs", "champion", "1")
        with pytest.raises(DigestMismatch, match="never promoted by the gate"):
            resolve("theirs")
