from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from tests.tracking.bundle_files import CONTRACT, FLUORESCENCE, WRONG, second_version
from tests.tracking.registering import Registry, opened, stored

from mlflow_normgate.admin import Administration
from normgate.errors import ContractError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "for a test"


@pytest.fixture
def registry(database_uri: str, tmp_path: Path) -> Iterator[Registry]:
    """A gated registry on each kind of database."""
    with opened(database_uri, tmp_path) as found:
        yield found


@pytest.fixture
def administration(registry: Registry) -> Administration:
    return Administration(registry.store.db_uri)


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:5000", "mysql://server/mlflow", "./mlruns", ""]
)
def test_only_a_registrys_database_has_a_ledger(uri: str) -> None:
    with pytest.raises(TrackingError, match="name that database with --store"):
        Administration(uri)


@pytest.mark.parametrize("scheme", ["", "normgate+"])
def test_both_spellings_of_a_database_are_taken(sqlite_uri: str, scheme: str) -> None:
    administration = Administration(scheme + sqlite_uri)
    administration.add(CONTRACT, WHY)
    assert [one.contract for one in administration.contracts()] == [CONTRACT]


def test_asking_does_not_initialize_a_database(sqlite_uri: str) -> None:
    administration = Administration(sqlite_uri)
    assert administration.contracts() == []
    assert administration.bindings() == []
    assert list(administration.verdicts()) == []
    with pytest.raises(TrackingError, match="nothing was ever gated"):
        list(administration.verify())
    with pytest.raises(ContractError, match="needs a reason"):
        administration.bind("model", CONTRACT, " ")
    tables = sa.inspect(sa.create_engine(sqlite_uri)).get_table_names()
    assert not [name for name in tables if name.startswith("normgate")]


def test_the_first_contract_initializes_a_database(sqlite_uri: str) -> None:
    client = MlflowClient(sqlite_uri, sqlite_uri)
    client.create_registered_model("model")
    version = client.create_model_version("model", "s3://bucket/model").version
    client.set_registered_model_alias("model", "before", version)
    Administration(sqlite_uri).bind("other", CONTRACT, WHY)
    with pytest.raises(Exception, match="No contract is bound"):
        client.set_registered_model_alias("model", "champion", version)


def test_contracts_are_listed_in_order_with_who_and_why(
    administration: Administration,
) -> None:
    for contract in (second_version(), FLUORESCENCE, CONTRACT):
        administration.add(contract, f"for {contract.name}")
    stated = administration.contracts()
    assert [(one.contract.name, one.contract.version) for one in stated] == [
        ("fluorescence", 1),
        ("plate", 1),
        ("plate", 2),
    ]
    assert stated[0].reason == "for fluorescence"
    assert stated[0].actor.startswith("account ")


def test_a_contract_is_never_rewritten(administration: Administration) -> None:
    administration.add(CONTRACT, WHY)
    rewritten = CONTRACT.model_copy(update={"floors": ()})
    for change in (
        lambda: administration.add(rewritten, WHY),
        lambda: administration.bind("model", rewritten, WHY),
    ):
        with pytest.raises(ContractError, match="Raise its version"):
            change()
    assert [one.contract for one in administration.contracts()] == [CONTRACT]


def test_bindings_in_force_are_listed(administration: Administration) -> None:
    for pattern, contract in [
        ("rescue-*", CONTRACT),
        ("a", FLUORESCENCE),
        ("a", second_version()),
        ("gone", CONTRACT),
        ("gone", None),
    ]:
        administration.bind(pattern, contract, WHY)
    assert [
        (one.pattern, one.contract_name, one.contract_version)
        for one in administration.bindings()
    ] == [("a", "plate", 2), ("rescue-*", "plate", 1)]


def test_a_binding_that_a_champion_breaks_is_refused(
    registry: Registry, administration: Administration
) -> None:
    registry.champion("rescue-1")
    administration.bind("rescue-*", CONTRACT, WHY)
    administration.bind("rescue-1", None, WHY)
    with pytest.raises(ContractError, match="champion of rescue-1 is version 1"):
        administration.bind("rescue-*", None, WHY)
    with pytest.raises(ContractError, match="fluorescence version 1 would not allow"):
        administration.bind("rescue-*", FLUORESCENCE, WHY)
    assert [one.pattern for one in administration.bindings()] == ["rescue-*"]


def test_verdicts_are_listed_newest_first_and_by_model(
    registry: Registry, administration: Administration
) -> None:
    registry.champion("one")
    registry.champion("other")
    registry.register("one", registry.logged(WRONG))
    with pytest.raises(Exception, match="refused"):
        registry.client.set_registered_model_alias("one", "champion", "2")

    def listed(**options: object) -> list[tuple[str, int, bool]]:
        found = administration.verdicts(**options)  # type: ignore[arg-type]
        return [(one.name, one.version, one.allowed) for one in found]

    newest, first, second = ("one", 2, False), ("one", 1, True), ("other", 1, True)
    assert listed() == [newest, second, first]
    assert listed(model="one") == [newest, first]
    assert listed(refused=True) == [newest]
    assert listed(limit=1) == [newest]
    assert listed(model="nobody") == []
    refusal = next(iter(administration.verdicts("one")))
    assert refusal.channels["RFP1"]["found"] != refusal.channels["RFP1"]["expected"]
    assert "other-normalization" in refusal.verdict.codes


def test_everything_promoted_is_verified_and_demoted_when_that_is_asked(
    registry: Registry, administration: Administration
) -> None:
    registry.champion("right")
    (stored(registry.champion("spoiled")) / "MLmodel").write_text("other")
    found = {one.standing.name: one for one in administration.verify()}
    assert found["right"].problem is None
    assert found["spoiled"].problem is not None
    assert registry.aliases("spoiled") == {"champion": "1"}
    demoted = [one.standing.name for one in administration.verify(demote=True)]
    assert demoted == ["right", "spoiled"]
    assert registry.aliases("spoiled") == {}
    assert registry.aliases("right") == {"champion": "1"}
