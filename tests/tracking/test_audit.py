from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore,
)
from mlflow.utils.workspace_context import WorkspaceContext
from tests.tracking.bundle_files import CONTRACT, WRONG, database
from tests.tracking.registering import Registry, stored

from mlflow_normgate import audit
from mlflow_normgate.audit import Audited, standings, verify
from mlflow_normgate.ledger import backstop
from mlflow_normgate.store import GatedWorkspaceStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry of the test's own: an audit looks at everything."""
    with database(tmp_path) as client:
        yield Registry(client, tmp_path)


def audited(registry: Registry, *, demote: bool = False) -> dict[str, Audited]:
    """What is found, by model and target."""
    found = verify(registry.store, standings(registry.store), demote=demote)
    return {f"{one.standing.name}@{one.standing.target}": one for one in found}


def without_the_gate(
    registry: Registry, kind: type = SqlAlchemyStore
) -> SqlAlchemyStore:
    """MLflow's own store where the triggers were dropped, as before normgate."""
    store: SqlAlchemyStore = kind(registry.store.db_uri)
    with store.engine.begin() as connection:
        backstop.remove(connection)
    return store


def spoil(folder: Path) -> None:
    (folder / "MLmodel").write_text("other")


def test_what_is_as_it_was_allowed_is_found_so(registry: Registry) -> None:
    registry.champion("model")
    registry.client.set_registered_model_alias("model", "best", "1")
    registry.client.set_registered_model_alias("model", "candidate", "1")
    registry.client.transition_model_version_stage("model", "1", "Production")
    found = audited(registry)
    assert sorted(found) == ["model@Production", "model@best", "model@champion"]
    assert {one.problem for one in found.values()} == {None}
    assert {one.action for one in registry.verdicts("model")} == {"promote"}


def test_bytes_that_changed_are_found_and_recorded(registry: Registry) -> None:
    registry.champion("right")
    spoil(stored(registry.champion("spoiled")))
    found = audited(registry)
    assert found["right@champion"].problem is None
    assert "files changed after it was registered" in str(
        found["spoiled@champion"].problem
    )
    assert not found["spoiled@champion"].demoted
    newest = registry.verdicts("spoiled")[0]
    assert (newest.action, newest.allowed, newest.target) == (
        "verify",
        False,
        "champion",
    )
    assert registry.aliases("spoiled") == {"champion": "1"}


def test_what_drifted_is_demoted_when_that_is_asked(registry: Registry) -> None:
    registry.champion("right")
    logged = registry.champion("spoiled")
    registry.client.set_registered_model_alias("spoiled", "candidate", "1")
    registry.client.transition_model_version_stage("spoiled", "1", "Production")
    spoil(stored(logged))
    found = audited(registry, demote=True)
    assert {name for name, one in found.items() if one.demoted} == {
        "spoiled@Production",
        "spoiled@champion",
    }
    assert registry.aliases("spoiled") == {"candidate": "1"}
    assert registry.client.get_model_version("spoiled", "1").current_stage == "Archived"
    assert registry.promoted("spoiled") == []
    assert registry.aliases("right") == {"champion": "1"}
    assert list(audited(registry)) == ["right@champion"]


def test_files_that_are_gone_are_found(registry: Registry) -> None:
    logged = registry.champion("model")
    stored(logged).rename(stored(logged).with_name("elsewhere"))
    found = audited(registry, demote=True)["model@champion"]
    assert "can't be read" in str(found.problem)
    # The store may only be away, and nobody can resolve it.
    assert not found.demoted
    assert registry.aliases("model") == {"champion": "1"}


@pytest.mark.parametrize("demote", [False, True])
def test_what_the_gate_never_allowed_is_found(registry: Registry, demote: bool) -> None:
    registry.champion("model")
    registry.register("model", registry.logged())
    registry.register("model", registry.logged(WRONG))
    plain = without_the_gate(registry)
    plain.set_registered_model_alias("model", "sneaked", "2")
    plain.transition_model_version_stage("model", "3", "Production", False)
    found = audited(registry, demote=demote)
    assert found["model@champion"].problem is None
    assert "No verdict of the gate allowed it" in str(found["model@sneaked"].problem)
    assert "Channel RFP1" in str(found["model@Production"].problem)
    assert (set(registry.aliases("model")) == {"champion"}) == demote


def test_an_alias_of_a_version_that_is_not_there_is_found(registry: Registry) -> None:
    registry.champion("model")
    plain = without_the_gate(registry)
    with plain.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO registered_model_aliases (workspace, name, alias, version)"
                " VALUES ('default', 'model', 'ghost', 7)"
            )
        )
    found = audited(registry, demote=True)
    assert "not made of a logged model" in str(found["model@ghost"].problem)
    assert registry.aliases("model") == {"champion": "1"}


def test_a_contract_that_was_changed_behind_the_gate_is_found(
    registry: Registry,
) -> None:
    registry.champion("model")
    plain = without_the_gate(registry)
    with plain.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM normgate_bindings"))
    assert "No contract is bound" in str(audited(registry)["model@champion"].problem)


def test_prompts_are_passed_over(registry: Registry) -> None:
    prompt = registry.client.register_prompt("prompt", "Say {{word}}.")
    registry.client.set_prompt_alias("prompt", "production", prompt.version)
    assert [one.name for one in standings(registry.store)] == ["prompt"]
    assert audited(registry, demote=True) == {}
    assert registry.client.get_prompt_version_by_alias("prompt", "production")


def test_an_alias_that_is_moved_meanwhile_is_not_taken_away(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(stored(registry.champion("model")))
    registry.register("model", registry.logged())
    collect = audit.collect

    def slow(location: str) -> object:
        monkeypatch.setattr(audit, "collect", collect)
        found = collect(location)
        registry.client.set_registered_model_alias("model", "champion", "2")
        return found

    monkeypatch.setattr(audit, "collect", slow)
    (found,) = audited(registry, demote=True).values()
    assert found.problem is not None
    assert not found.demoted
    assert registry.aliases("model") == {"champion": "2"}
    assert registry.client.get_model_version_by_alias("model", "champion")


def test_every_workspace_is_looked_at(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion("model")
    source = registry.logged().source
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    store = GatedWorkspaceStore(registry.store.db_uri)
    with WorkspaceContext("team"):
        store.create_registered_model("model")
        store.create_model_version("model", source)
        store.bind_contract("model", CONTRACT, "for a test")
        store.set_registered_model_alias("model", "champion", "1")
        without_the_gate(
            registry, WorkspaceAwareSqlAlchemyStore
        ).set_registered_model_alias("model", "sneaked", "1")
    found = list(verify(store, standings(store), demote=True))
    seen = {(one.standing.workspace, one.standing.target): one for one in found}
    assert sorted(seen) == [
        ("default", "champion"),
        ("team", "champion"),
        ("team", "sneaked"),
    ]
    assert [key for key, one in seen.items() if one.demoted] == [("team", "sneaked")]
    with WorkspaceContext("team"):
        assert store.get_registered_model("model").aliases == {"champion": 1}
    with WorkspaceContext("default"):
        assert store.get_registered_model("model").aliases == {"champion": 1}
