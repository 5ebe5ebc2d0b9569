from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow.exceptions import MlflowException
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    database,
    second_version,
)
from tests.tracking.registering import Registry, stored

from mlflow_normgate import binding
from mlflow_normgate.ledger.contracts import bindings
from mlflow_normgate.reserved import CONTRACT as CONTRACT_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "for a test"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("binding")
    with database(folder) as client:
        yield Registry(client, folder)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return tmp_path.name


def in_force(registry: Registry, pattern: str) -> int | None:
    """The version of the contract that is bound to a pattern."""
    with registry.store.ManagedSessionMaker() as session:
        found = bindings(session.connection(), "default")
    return next((one.contract_version for one in found if one.pattern == pattern), None)


def refused(sentence: str) -> pytest.RaisesExc[MlflowException]:
    def status(error: MlflowException) -> bool:
        return bool(error.error_code == "PERMISSION_DENIED")

    return pytest.raises(MlflowException, match=sentence, check=status)


def test_a_renamed_model_keeps_contract_evidence_and_champion(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    new = name + "-new"
    registry.client.rename_registered_model(name, new)
    assert registry.contract(new) == "plate version 1"
    assert registry.promoted(new) == [("champion", 1)]
    assert registry.promoted(name) == []
    assert registry.client.get_model_version_by_alias(new, "champion")
    assert in_force(registry, new) == in_force(registry, name) == 1
    newest = registry.verdicts(new)[0]
    assert (newest.action, newest.allowed) == ("rename", True)
    registry.client.set_registered_model_alias(new, "production", "1")


def test_a_model_made_anew_under_the_old_name_has_its_contract(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    registry.client.rename_registered_model(name, name + "-new")
    registry.client.create_registered_model(name)
    assert registry.contract(name) == "plate version 1"
    assert registry.promoted(name) == []


def test_a_model_that_its_new_names_contract_does_not_allow_is_not_renamed(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    new = name + "-new"
    registry.store.bind_contract(new, FLUORESCENCE, WHY)
    with refused(f"Promotion of {new} version 1 to champion refused: Channel RFP1"):
        registry.client.rename_registered_model(name, new)
    with pytest.raises(MlflowException, match="not found"):
        registry.client.get_registered_model(new)
    assert registry.contract(name) == "plate version 1"
    assert registry.promoted(name) == [("champion", 1)]
    assert registry.client.get_model_version_by_alias(name, "champion")
    refusal = registry.verdicts(new)[0]
    assert (refusal.action, refusal.allowed) == ("rename", False)
    registry.client.set_registered_model_alias(name, "production", "1")


def test_a_champion_is_not_renamed_out_of_its_pattern(
    registry: Registry, name: str
) -> None:
    registry.store.bind_contract(name + "-*", CONTRACT, WHY)
    registry.champion(name + "-a")
    registry.store.bind_contract(name + "-a", None, WHY)
    with refused("No contract is bound"):
        registry.client.rename_registered_model(name + "-a", name + "+")
    registry.client.rename_registered_model(name + "-a", name + "-b")
    assert registry.promoted(name + "-b") == [("champion", 1)]
    assert in_force(registry, name + "-b") is None


def test_a_new_name_with_a_contract_keeps_that_one(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    registry.store.bind_contract(name + "-*", second_version(), WHY)
    registry.client.rename_registered_model(name, name + "-new")
    assert in_force(registry, name + "-new") is None
    assert registry.verdicts(name + "-new")[0].contract_version == 2


def test_what_is_not_promoted_may_be_renamed_anywhere(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    registry.client.delete_registered_model_alias(name, "champion")
    registry.store.bind_contract(name + "-new", FLUORESCENCE, WHY)
    registry.client.rename_registered_model(name, name + "-new")
    with refused("Channel RFP1"):
        registry.client.set_registered_model_alias(name + "-new", "champion", "1")


def test_a_model_renamed_to_its_own_name_is_as_before(
    registry: Registry, name: str
) -> None:
    registry.champion(name)
    registry.client.rename_registered_model(name, name)
    assert registry.promoted(name) == [("champion", 1)]
    registry.client.set_registered_model_alias(name, "production", "1")


def test_a_name_that_is_taken_loses_nothing(registry: Registry, name: str) -> None:
    registry.champion(name)
    registry.champion(name + "-new")
    with pytest.raises(MlflowException, match="already exists") as caught:
        registry.client.rename_registered_model(name, name + "-new")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    for one in (name, name + "-new"):
        assert registry.promoted(one) == [("champion", 1)]
        registry.client.set_registered_model_alias(one, "production", "1")


@pytest.mark.parametrize("pattern", ["{}-a", "{}-*"])
def test_a_contract_that_a_champion_breaks_is_not_bound(
    registry: Registry, name: str, pattern: str
) -> None:
    registry.store.bind_contract(name + "-*", CONTRACT, WHY)
    registry.champion(name + "-a")
    registry.store.bind_contract(name + "-a", None, WHY)
    held = f"champion of {name}-a is version 1"
    with refused(f"{held}, which contract fluorescence version 1 would not allow"):
        registry.store.bind_contract(pattern.format(name), FLUORESCENCE, WHY)
    assert registry.contract(name + "-a") == "plate version 1"
    refusal = registry.verdicts(name + "-a")[0]
    assert (refusal.action, refusal.allowed) == ("bind", False)
    with refused(f"{held}, which would then stand under no contract"):
        registry.store.bind_contract(name + "-*", None, WHY)
    registry.store.bind_contract(name + "-*", second_version(), WHY)
    assert registry.contract(name + "-a") == "plate version 2"
    assert registry.verdicts(name + "-a")[0].contract_version == 2


def test_patterns_that_would_disagree_about_a_champion_are_not_bound(
    registry: Registry, name: str
) -> None:
    registry.store.bind_contract(name + "-*", CONTRACT, WHY)
    registry.champion(name + "-a")
    registry.store.bind_contract(name + "-a", None, WHY)
    with refused("bind different contracts"):
        registry.store.bind_contract(name + "-?", FLUORESCENCE, WHY)
    assert registry.contract(name + "-a") == "plate version 1"


def test_patterns_that_disagree_promote_nothing(registry: Registry, name: str) -> None:
    registry.register(registry.model(name + "-a", None), registry.logged())
    registry.store.bind_contract(name + "-*", CONTRACT, WHY)
    registry.store.bind_contract(name + "-?", second_version(), WHY)
    assert "bind different contracts" in str(registry.contract(name + "-a"))
    with refused("bind different contracts to .* Bind the contract that is meant"):
        registry.client.set_registered_model_alias(name + "-a", "champion", "1")
    registry.store.bind_contract(name + "-a", CONTRACT, WHY)
    registry.client.set_registered_model_alias(name + "-a", "champion", "1")


def test_a_binding_is_shown_on_every_model_that_it_reaches(
    registry: Registry, name: str
) -> None:
    for end in ("-a", "-b", "+"):
        registry.model(name + end, None)
    registry.client.register_prompt(name + "-prompt", "Say {{word}}.")
    registry.store.bind_contract(name + "-*", CONTRACT, WHY)
    registry.model(name + "-c", None)
    shown = {end: registry.contract(name + end) for end in ("-a", "-b", "-c", "+")}
    assert {shown.pop(end) for end in ("-a", "-b", "-c")} == {"plate version 1"}
    assert shown == {"+": None}
    assert (
        CONTRACT_TAG not in registry.store.get_registered_model(name + "-prompt")._tags
    )
    registry.store.bind_contract(name + "-*", None, WHY)
    assert registry.contract(name + "-c") is None


def test_a_client_binds_exact_names_only(registry: Registry, name: str) -> None:
    for wild in (name + "*", name + "?"):
        registry.model(wild, None)
        with pytest.raises(MlflowException, match="stands for other names") as caught:
            registry.bind(wild)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
        assert in_force(registry, wild) is None


def test_a_contract_is_not_carried_to_a_name_that_stands_for_others(
    registry: Registry, name: str
) -> None:
    registry.model(name)
    with refused("would stand for other names too"):
        registry.client.rename_registered_model(name, name + "*")
    registry.bind(name, None)
    registry.client.rename_registered_model(name, name + "*")
    assert in_force(registry, name + "*") is None


def test_a_model_named_like_a_pattern_takes_no_contract_along(
    registry: Registry, name: str
) -> None:
    registry.store.bind_contract(name + "*", CONTRACT, WHY)
    registry.champion(name + "*", None)
    with refused("No contract is bound"):
        registry.client.rename_registered_model(name + "*", "my-" + name)
    registry.client.delete_registered_model_alias(name + "*", "champion")
    registry.client.rename_registered_model(name + "*", "my-" + name)
    assert in_force(registry, "my-" + name) is None


def test_a_promotion_meanwhile_stops_a_binding(
    registry: Registry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.champion(name)
    collect = binding.collect

    def slow(location: str) -> object:
        monkeypatch.setattr(binding, "collect", collect)
        registry.client.set_registered_model_alias(name, "production", "1")
        registry.register(name, registry.logged())
        registry.client.set_registered_model_alias(name, "other", "2")
        return collect(location)

    monkeypatch.setattr(binding, "collect", slow)
    with refused("Another promotion of .* Try again"):
        registry.bind(name, second_version())
    assert registry.contract(name) == "plate version 1"
    registry.bind(name, second_version())
    assert {one.contract_version for one in registry.verdicts(name)[:3]} == {2}


def test_bytes_that_changed_stop_a_binding(registry: Registry, name: str) -> None:
    logged = registry.champion(name)
    (stored(logged) / "MLmodel").write_text("other")
    with refused("files changed after it was registered"):
        registry.bind(name, second_version())
    assert registry.contract(name) == "plate version 1"


def test_a_contract_is_added_without_binding_it(registry: Registry, name: str) -> None:
    contract = CONTRACT.model_copy(update={"name": "unbound"})
    registry.store.add_contract(contract, WHY)
    registry.model(name, None)
    assert registry.contract(name) is None
    with pytest.raises(MlflowException, match="Raise its version") as caught:
        registry.store.add_contract(contract.model_copy(update={"floors": ()}), WHY)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
