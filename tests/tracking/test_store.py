from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.workspace_context import WorkspaceContext
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    RIGHT,
    WRONG,
    Logged,
    database,
    log_folder,
    second_version,
    write_bundle,
)

from mlflow_normgate import gating, reserved
from mlflow_normgate.store import (
    READ_REPLICA,
    GatedStore,
    GatedWorkspaceStore,
    build,
)
from normgate.contract import spec_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.contract import Contract, Spec

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")


def refusal() -> pytest.RaisesExc[MlflowException]:
    return pytest.raises(MlflowException, match=r"Promotion of .* refused")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with database(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def name(client: MlflowClient, tmp_path: Path) -> str:
    """A registered model that is bound to the plate contract."""
    client.create_registered_model(tmp_path.name)
    bind(client, tmp_path.name)
    return tmp_path.name


def bind(client: MlflowClient, name: str, contract: Contract | None = CONTRACT) -> None:
    text = reserved.binding(contract, "for a test")
    client.set_registered_model_tag(name, reserved.BIND, text)


def register(
    client: MlflowClient, name: str, folder: Path, spec: Spec = RIGHT
) -> tuple[str, Logged]:
    place = folder / f"{len(list(folder.iterdir()))}"
    logged = log_folder(client, write_bundle(place, spec))
    version = client.create_model_version(name, logged.source, logged.run_id)
    return str(version.version), logged


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    found = client.get_registered_model(name).aliases
    return {alias: str(version) for alias, version in found.items()}


def stored(logged: Logged) -> Path:
    return Path(logged.location.removeprefix("file://"))


def test_what_fulfils_its_contract_is_promoted(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    client.set_registered_model_alias(name, "champion", version)
    client.set_registered_model_alias(name, "champion", version)
    assert aliases(client, name) == {"champion": version}
    found = client.get_model_version_by_alias(name, "champion")
    assert found.tags[reserved.SPEC_DIGEST] == spec_digest(RIGHT)
    assert found.tags[reserved.EVIDENCE] == "complete"


def test_the_refusal_names_channel_and_constants(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path, WRONG)
    with pytest.raises(MlflowException) as caught:
        client.set_registered_model_alias(name, "champion", version)
    assert caught.value.error_code == "PERMISSION_DENIED"
    said = caught.value.message
    assert said.startswith(
        f"Promotion of {name} version {version} to champion refused: Channel RFP1 was "
        "trained with "
    )
    assert "0.2233" in said
    assert "clip 963..9016" in said
    assert aliases(client, name) == {}


@pytest.mark.parametrize("stage", ["Staging", "production"])
def test_stages_are_gated_too(
    client: MlflowClient, name: str, tmp_path: Path, stage: str
) -> None:
    wrong, _ = register(client, name, tmp_path, WRONG)
    right, _ = register(client, name, tmp_path)
    client.transition_model_version_stage(name, right, stage)
    with refusal():
        client.transition_model_version_stage(name, wrong, stage, True)
    assert client.get_model_version(name, right).current_stage == stage.capitalize()
    client.transition_model_version_stage(name, wrong, "Archived")


def test_a_stages_name_can_be_no_alias(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    with pytest.raises(MlflowException, match="is a legacy stage") as caught:
        client.set_registered_model_alias(name, "Production", version)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    client.set_registered_model_alias(name, "production", version)


def test_open_aliases_are_anyones(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path, WRONG)
    client.set_registered_model_alias(name, "candidate", version)
    found = client.get_model_version_by_alias(name, "candidate")
    assert str(found.version) == version
    assert str(client.get_model_version_by_alias(name, "latest").version) == version


def test_a_model_without_a_contract_is_refused(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    client.create_registered_model(name + "-free")
    version, _ = register(client, name + "-free", tmp_path)
    with pytest.raises(MlflowException, match="No contract is bound"):
        client.set_registered_model_alias(name + "-free", "champion", version)


def test_an_unfinished_upload_is_refused(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    logged = log_folder(client, write_bundle(tmp_path / "b"), ready=False)
    version = client.create_model_version(name, logged.source)
    with pytest.raises(MlflowException, match="is not READY"):
        client.set_registered_model_alias(name, "champion", str(version.version))


def test_a_version_of_nothing_is_refused(client: MlflowClient, name: str) -> None:
    version = client.create_model_version(name, "s3://bucket/model")
    with pytest.raises(MlflowException, match="not made of a logged model"):
        client.set_registered_model_alias(name, "champion", str(version.version))


def test_bytes_that_changed_are_refused_and_no_longer_resolved(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, logged = register(client, name, tmp_path)
    client.set_registered_model_alias(name, "champion", version)
    (stored(logged) / "MLmodel").write_text("other")
    with pytest.raises(MlflowException, match="files changed after it was registered"):
        client.set_registered_model_alias(name, "production", version)
    with pytest.raises(MlflowException, match="not those that were allowed"):
        client.get_model_version_by_alias(name, "champion")


def test_what_a_client_sends_as_evidence_is_replaced(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    good, bad = (write_bundle(tmp_path / n, s) for n, s in (("g", RIGHT), ("b", WRONG)))
    honest, liar = log_folder(client, good), log_folder(client, bad)
    forged = {reserved.SPEC_DIGEST: spec_digest(RIGHT), "normgate.own": "x", "a": "b"}
    version = client.create_model_version(
        name, liar.source, honest.run_id, tags=forged, model_id=honest.model_id
    )
    assert version.run_id == liar.run_id
    assert version.tags[reserved.SPEC_DIGEST] == spec_digest(WRONG)
    assert version.tags[reserved.MODEL_ID] == liar.model_id
    assert version.tags["a"] == "b"
    assert "normgate.own" not in version.tags


def test_reserved_tags_cannot_be_edited(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    other = {"normgate.other": "1"}
    for edit in (
        lambda: client.set_model_version_tag(name, version, reserved.SPEC_DIGEST, "0"),
        lambda: client.delete_model_version_tag(name, version, reserved.MODEL_ID),
        lambda: client.set_registered_model_tag(name, "normgate.other", "1"),
        lambda: client.delete_registered_model_tag(name, reserved.CONTRACT),
        lambda: client.create_registered_model(name + "-2", tags=other),
    ):
        with pytest.raises(MlflowException, match="is reserved"):
            edit()
    client.set_model_version_tag(name, version, "mine", "1")
    client.delete_model_version_tag(name, version, "mine")
    client.set_registered_model_tag(name, "mine", "1")
    client.delete_registered_model_tag(name, "mine")


def test_a_tag_without_a_key_is_refused_by_mlflow(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    store = client._get_registry_client().store
    for refuse in (
        lambda: store.set_registered_model_tag(name, RegisteredModelTag(None, "x")),
        lambda: store.delete_registered_model_tag(name, None),
        lambda: store.set_model_version_tag(
            name, version, RegisteredModelTag(None, "")
        ),
        lambda: store.delete_model_version_tag(name, version, None),
    ):
        with pytest.raises(MlflowException) as caught:
            refuse()
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_new_model_shows_the_contract_of_its_name(client: MlflowClient) -> None:
    client.create_registered_model("shown-first")
    client._get_registry_client().store.bind_contract("shown-*", CONTRACT, "for all")
    made = client.create_registered_model("shown-second", tags={"mine": "1"})
    assert made.tags == {reserved.CONTRACT: "plate version 1", "mine": "1"}


def test_a_copy_is_judged_by_the_target_models_contract(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, logged = register(client, name, tmp_path)
    copy = client.copy_model_version(f"models:/{name}/{version}", name + "-copy")
    assert copy.tags[reserved.MODEL_ID] == logged.model_id
    with pytest.raises(MlflowException, match="No contract is bound"):
        client.set_registered_model_alias(name + "-copy", "champion", copy.version)
    bind(client, name + "-copy")
    client.set_registered_model_alias(name + "-copy", "champion", copy.version)
    client.rename_registered_model(name + "-copy", name + "-renamed")
    assert client.get_model_version_by_alias(name + "-renamed", "champion")


def test_a_champion_whose_bytes_changed_is_not_copied(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, logged = register(client, name, tmp_path)
    client.set_registered_model_alias(name, "champion", version)
    (stored(logged) / "MLmodel").write_text("other")
    with pytest.raises(MlflowException, match="not those that were allowed") as caught:
        client.create_model_version(name, f"models:/{name}/{version}")
    assert caught.value.error_code == "PERMISSION_DENIED"


def test_a_contract_that_a_promoted_version_breaks_is_not_bound(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    client.set_registered_model_alias(name, "champion", version)
    with pytest.raises(MlflowException, match="fluorescence version 1 would not allow"):
        bind(client, name, FLUORESCENCE)
    with pytest.raises(MlflowException, match="stand under no contract"):
        bind(client, name, None)
    assert client.get_registered_model(name).tags[reserved.CONTRACT] == (
        "plate version 1"
    )
    bind(client, name, second_version())
    assert client.get_registered_model(name).tags[reserved.CONTRACT] == (
        "plate version 2"
    )
    client.delete_registered_model_alias(name, "champion")
    bind(client, name, None)
    assert reserved.CONTRACT not in client.get_registered_model(name).tags


def test_a_contract_is_never_rewritten(client: MlflowClient, name: str) -> None:
    rewritten = CONTRACT.model_copy(update={"floors": ()})
    with pytest.raises(MlflowException, match="Raise its version"):
        bind(client, name, rewritten)
    bind(client, name)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "not json", '{"contract": 1, "reason": ""}', "9" * 100_001, "[" * 9999],
)
def test_a_contract_must_be_one(client: MlflowClient, name: str, text: str) -> None:
    with pytest.raises(
        MlflowException, match=r"contract is|expected at most 100000"
    ) as caught:
        client.set_registered_model_tag(name, reserved.BIND, text)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_contract_is_not_bound_without_a_reason(
    client: MlflowClient, name: str
) -> None:
    for reason in (" ", "x" * 1001):
        text = reserved.binding(second_version(), reason)
        with pytest.raises(MlflowException, match="needs a reason"):
            client.set_registered_model_tag(name, reserved.BIND, text)


def test_prompts_stay_as_they_are(client: MlflowClient, name: str) -> None:
    prompt = client.register_prompt(name + "-prompt", "Say {{word}}.")
    client.set_prompt_alias(prompt.name, "production", prompt.version)
    found = client.get_prompt_version_by_alias(prompt.name, "production")
    assert found.template == "Say {{word}}."


def test_a_model_cannot_be_disguised_as_a_prompt(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    with pytest.raises(MlflowException, match="can't be turned into a prompt"):
        client.set_registered_model_tag(name, "mlflow.prompt.is_prompt", "true")
    tags = {"mlflow.prompt.is_prompt": "true"}
    store = client._get_registry_client().store
    store.create_registered_model(
        name + "-p", [RegisteredModelTag(k, v) for k, v in tags.items()]
    )
    version, _ = register(client, name + "-p", tmp_path)
    with refusal():
        store.set_registered_model_alias(name + "-p", "champion", version)


def test_a_database_without_normgate_is_plain_mlflow(tmp_path: Path) -> None:
    with database(tmp_path, "sqlite") as plain:
        plain.create_registered_model("theirs")
        version = plain.create_model_version("theirs", "s3://bucket/model")
        assert version.tags == {}
        plain.set_registered_model_alias("theirs", "champion", version.version)
        plain.transition_model_version_stage("theirs", version.version, "Production")
        assert plain.get_model_version_by_alias("theirs", "champion")
        plain.set_registered_model_tag("theirs", "mlflow.prompt.is_prompt", "true")
        tables = sa.inspect(sa.create_engine(plain.tracking_uri)).get_table_names()
        assert "normgate_gate" not in tables


@pytest.mark.parametrize("way", ["scheme", "contract", "bundle"])
def test_a_database_is_initialized_by_what_speaks_of_normgate(
    tmp_path: Path, way: str
) -> None:
    with database(tmp_path, "sqlite") as client:
        client.create_registered_model("model")
        old = client.create_model_version("model", "s3://bucket/model")
        if way == "scheme":
            build(f"normgate+sqlite:///{tmp_path}/mlflow.db")
        elif way == "contract":
            bind(client, "model")
        else:
            logged = log_folder(client, write_bundle(tmp_path / "b"))
            tags = {reserved.BUNDLE: "1"}
            client.create_model_version("model", logged.source, tags=tags)
        with pytest.raises(MlflowException, match="registered without the gate"):
            client.set_registered_model_alias("model", "champion", old.version)


def test_a_champion_from_before_the_gate_is_no_longer_resolved(tmp_path: Path) -> None:
    with database(tmp_path, "sqlite") as client:
        client.create_registered_model("model")
        old = client.create_model_version("model", "s3://bucket/model")
        client.set_registered_model_alias("model", "champion", old.version)
        build(f"normgate+sqlite:///{tmp_path}/mlflow.db")
        with pytest.raises(MlflowException, match="the gate never allowed"):
            client.get_model_version_by_alias("model", "champion")


def test_a_stage_from_before_the_gate_is_no_longer_loaded_from(tmp_path: Path) -> None:
    with database(tmp_path, "sqlite") as client:
        client.create_registered_model("model")
        client.create_model_version("model", "s3://bucket/model")
        client.transition_model_version_stage("model", "1", "Production")
        build(f"normgate+sqlite:///{tmp_path}/mlflow.db")
        with pytest.raises(MlflowException, match="the gate never allowed"):
            client.get_latest_versions("model", ["Production"])
        assert client.get_latest_versions("model")[0].current_stage == "Production"
        assert client.get_latest_versions("model", ["Staging"]) == []


def test_a_stage_leads_only_to_what_was_allowed(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, logged = register(client, name, tmp_path)
    client.transition_model_version_stage(name, version, "Staging")
    (found,) = client.get_latest_versions(name, ["Staging"])
    assert found.tags[reserved.SPEC_DIGEST] == spec_digest(RIGHT)
    (stored(logged) / "MLmodel").write_text("other")
    with pytest.raises(MlflowException, match="not those that were allowed"):
        client.get_latest_versions(name, ["Staging"])


def test_a_promotion_and_a_contract_that_race_end_consistent(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    version, _ = register(client, name, tmp_path)
    other = FLUORESCENCE
    barrier = threading.Barrier(2)

    def promote() -> None:
        barrier.wait()
        client.set_registered_model_alias(name, "champion", version)

    def rebind() -> None:
        barrier.wait()
        bind(client, name, other)

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(work) for work in (promote, rebind)]
        lost = [error for job in done if (error := job.exception()) is not None]
        bound = client.get_registered_model(name).tags[reserved.CONTRACT]
        assert len(lost) == 1
        assert isinstance(lost[0], MlflowException)
        assert (bound == "fluorescence version 1") != (
            "champion" in aliases(client, name)
        )
        client.delete_registered_model_alias(name, "champion")
        bind(client, name)


def test_what_is_decided_is_read_under_the_lock(
    client: MlflowClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, _ = register(client, name, tmp_path)
    collect = gating.collect

    def slow(location: str) -> object:
        found = collect(location)
        monkeypatch.setattr(gating, "collect", collect)
        bind(client, name, FLUORESCENCE)
        return found

    monkeypatch.setattr(gating, "collect", slow)
    with refusal():
        client.set_registered_model_alias(name, "champion", version)


def test_the_plain_scheme_builds_the_gated_store(tmp_path: Path) -> None:
    store = build(f"sqlite:///{tmp_path}/plain.db", tracking_uri=None)
    assert isinstance(store, GatedStore)
    assert isinstance(store, SqlAlchemyStore)
    assert not store.gated
    uri = mlflow.get_tracking_uri()
    registry = MlflowClient(uri, f"sqlite:///{tmp_path}/plain.db")
    assert isinstance(registry._get_registry_client().store, GatedStore)
    assert READ_REPLICA == READ_REPLICA_BACKEND_STORE_URI_ENV_VAR


def test_workspaces_are_gated_too(
    client: MlflowClient,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong, _ = register(client, name, tmp_path, WRONG)
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    with WorkspaceContext("default"):
        store = build(client._registry_uri)
        assert isinstance(store, GatedWorkspaceStore)
        with refusal():
            store.set_registered_model_alias(name, "champion", wrong)
