from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.tracking.bundle_files import CONTRACT, FLUORESCENCE, database, second_version

from mlflow_normgate.ledger import upgrade
from mlflow_normgate.ledger.contracts import (
    Act,
    add,
    bind,
    bindings,
    contract_digest,
    contract_label,
    contracts,
    find,
    fits,
    in_force,
)
from mlflow_normgate.ledger.tables import BINDINGS, CONTRACTS
from normgate.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

    from normgate.contract import Contract

ACT = Act(workspace="default", actor="account test", reason="for a test")
ELSEWHERE = Act(workspace="elsewhere", actor="account test", reason="for a test")
REWRITTEN = CONTRACT.model_copy(update={"floors": ()})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with database(tmp_path_factory.mktemp("ledger"), "sqlite") as client:
        found = sa.create_engine(client.tracking_uri)
        upgrade.initialize(found)
        yield found
        found.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """An initialized ledger, which is left empty."""
    with engine.connect() as found:
        yield found
        found.rollback()


def label(connection: Connection, model: str, workspace: str = "default") -> str | None:
    found = in_force(connection, workspace, model)
    return None if found is None else contract_label(found)


@pytest.mark.parametrize(
    ("pattern", "model", "expected"),
    [
        pytest.param("rescue", "rescue", True, id="exact"),
        pytest.param("rescue", "rescue-0ms", False, id="no-prefix"),
        pytest.param("rescue", "Rescue", False, id="case-counts"),
        pytest.param("rescue-*", "rescue-", True, id="star-may-be-empty"),
        pytest.param("*", "any thing at all", True, id="star-alone"),
        pytest.param("*-0ms", "rescue-0ms", True, id="star-in-front"),
        pytest.param("r*e", "rescue", True, id="star-inside"),
        pytest.param("r*e", "rescue2", False, id="to-the-end"),
        pytest.param("*a*b*", "xbaxxb", True, id="stars"),
        pytest.param("*ab*b", "abab", True, id="the-last-part-is-at-the-end"),
        pytest.param("*ab*b", "xab", False, id="parts-do-not-overlap"),
        pytest.param("a**b?*", "abc", True, id="stars-side-by-side"),
        pytest.param("*a" * 100 + "b", "a" * 250, False, id="no-trying-for-ever"),
        pytest.param("rescue-?", "rescue-1", True, id="question-mark"),
        pytest.param("rescue-?", "rescue-", False, id="question-mark-is-not-empty"),
        pytest.param("rescue-?", "rescue-10", False, id="question-mark-is-one"),
        pytest.param("a.c", "abc", False, id="dot-is-a-dot"),
        pytest.param("[ab]", "a", False, id="no-sets"),
        pytest.param("[ab]", "[ab]", True, id="brackets-are-brackets"),
        pytest.param("a*", "a\nb", True, id="newline"),
        pytest.param("a", "a\n", False, id="newline-at-the-end"),
    ],
)
def test_a_pattern_stands_for_names(pattern: str, model: str, expected: bool) -> None:
    assert fits(pattern, model) is expected


@pytest.mark.parametrize(
    ("bound", "model", "expected"),
    [
        pytest.param([], "rescue", None, id="nothing"),
        pytest.param([("other", CONTRACT)], "rescue", None, id="another-model"),
        pytest.param([("rescue", CONTRACT)], "rescue", "plate version 1", id="exact"),
        pytest.param([("res*", CONTRACT)], "rescue", "plate version 1", id="pattern"),
        pytest.param(
            [("rescue", CONTRACT), ("*", FLUORESCENCE)],
            "rescue",
            "plate version 1",
            id="exact-before-a-newer-pattern",
        ),
        pytest.param(
            [("res*", CONTRACT), ("*cue", CONTRACT)],
            "rescue",
            "plate version 1",
            id="patterns-agree",
        ),
        pytest.param(
            [("res*", CONTRACT), ("res*", second_version())],
            "rescue",
            "plate version 2",
            id="newest-of-a-pattern",
        ),
        pytest.param(
            [("rescue", second_version()), ("rescue", CONTRACT)],
            "rescue",
            "plate version 1",
            id="back-to-an-older-contract",
        ),
        pytest.param(
            [("rescue", CONTRACT), ("rescue", None)], "rescue", None, id="released"
        ),
        pytest.param(
            [("*", CONTRACT), ("rescue", FLUORESCENCE), ("rescue", None)],
            "rescue",
            "plate version 1",
            id="released-to-a-pattern",
        ),
        pytest.param(
            [("*", CONTRACT), ("*", None), ("res*", FLUORESCENCE)],
            "rescue",
            "fluorescence version 1",
            id="a-released-pattern-demands-nothing",
        ),
        pytest.param(
            [("*", CONTRACT), ("*", FLUORESCENCE), ("*", CONTRACT)],
            "*",
            "plate version 1",
            id="a-model-named-like-a-pattern",
        ),
    ],
)
def test_the_contract_in_force(
    connection: Connection,
    bound: list[tuple[str, Contract | None]],
    model: str,
    expected: str | None,
) -> None:
    for pattern, contract in bound:
        bind(connection, ACT, pattern, contract)
    assert label(connection, model) == expected


@pytest.mark.parametrize("order", [1, -1])
def test_patterns_that_disagree_are_a_refusal(
    connection: Connection, order: int
) -> None:
    for pattern, contract in [("res*", CONTRACT), ("*", second_version())][::order]:
        bind(connection, ACT, pattern, contract)
    with pytest.raises(
        ContractError, match=r"patterns \*, res\* bind different contracts to rescue"
    ):
        in_force(connection, "default", "rescue")
    assert label(connection, "other") == "plate version 2"
    bind(connection, ACT, "rescue", CONTRACT)
    assert label(connection, "rescue") == "plate version 1"


def test_workspaces_have_contracts_of_their_own(connection: Connection) -> None:
    bind(connection, ACT, "rescue", CONTRACT)
    assert label(connection, "rescue", "elsewhere") is None
    add(connection, ELSEWHERE, REWRITTEN)
    bind(connection, ELSEWHERE, "rescue", second_version())
    assert label(connection, "rescue") == "plate version 1"
    assert label(connection, "rescue", "elsewhere") == "plate version 2"
    assert [one.contract.version for one in contracts(connection, "elsewhere")] == [
        1,
        2,
    ]


def test_a_contract_is_kept_as_it_is_with_who_and_why(connection: Connection) -> None:
    add(connection, ACT, CONTRACT)
    stated = find(connection, "default", "plate", 1)
    assert stated is not None
    assert stated.contract == CONTRACT
    assert stated.digest == contract_digest(CONTRACT)
    assert (stated.actor, stated.reason) == ("account test", "for a test")
    assert find(connection, "default", "plate", 2) is None
    assert find(connection, "default", "Plate", 1) is None


def test_the_same_contract_again_is_no_news(connection: Connection) -> None:
    later = Act(workspace="default", actor="account other", reason="once more")
    add(connection, ACT, CONTRACT)
    add(connection, later, CONTRACT)
    assert [one.actor for one in contracts(connection, "default")] == ["account test"]


def test_a_contract_is_never_rewritten(connection: Connection) -> None:
    add(connection, ACT, CONTRACT)
    for change in (add, lambda *given: bind(*given[:2], "rescue", given[2])):
        with pytest.raises(ContractError, match=r"plate version 1 .*Raise its version"):
            change(connection, ACT, REWRITTEN)
    assert [one.contract for one in contracts(connection, "default")] == [CONTRACT]
    assert bindings(connection, "default") == []


def test_binding_only_adds(connection: Connection) -> None:
    for contract in (CONTRACT, second_version(), None, CONTRACT):
        bind(connection, ACT, "rescue", contract)
    rows = connection.execute(sa.select(BINDINGS).order_by(BINDINGS.c.id)).all()
    assert [row.contract_version for row in rows] == [1, 2, None, 1]
    assert {row.reason for row in rows} == {"for a test"}
    assert connection.scalar(sa.select(sa.func.count()).select_from(CONTRACTS)) == 2
    in_order = bindings(connection, "default")
    assert [(one.pattern, one.contract_version) for one in in_order] == [("rescue", 1)]


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001])
def test_an_act_needs_a_reason(reason: str) -> None:
    with pytest.raises(ContractError, match="needs a reason of 1 to 1000 characters"):
        Act(workspace="default", actor="account test", reason=reason)
    assert Act(workspace="default", actor="account test", reason="x" * 1000)


@pytest.mark.parametrize("letter", ["\0", "\ud800"])
def test_a_reason_is_text_that_a_database_takes(letter: str) -> None:
    with pytest.raises(ContractError, match="zero byte or half a letter"):
        Act(workspace="default", actor="account test", reason=f"why{letter}")


@pytest.mark.parametrize("pattern", ["", "a/b", "a:b", "x" * 257])
def test_a_pattern_that_can_be_no_name_is_refused(
    connection: Connection, pattern: str
) -> None:
    with pytest.raises(ContractError, match="can be no model's name"):
        bind(connection, ACT, pattern, CONTRACT)
    assert contracts(connection, "default") == []
    bind(connection, ACT, "x" * 256, CONTRACT)
