from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from mlflow_normgate.ledger.tables import METADATA, VERDICTS
from mlflow_normgate.ledger.verdicts import MAX_REFUSALS, Decision, record, verdicts
from normgate.gate import Evidence, Refusal, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.begin() as found:
        yield found
    engine.dispose()


def decision(*refusals: Refusal, version: int = 1) -> Decision:
    return Decision(
        workspace="default",
        name="rescue",
        version=version,
        target="champion",
        action="promote",
        actor="account demo",
        evidence=Evidence(model_id=None, ready=False, source_run=None),
        contract=None,
        registered_digest=None,
        verdict=Verdict(refusals),
    )


def refusal(code: str) -> Refusal:
    return Refusal(code, f"{code} is wrong.", "Mend it.", "channels", code)


def test_a_verdict_is_read_as_it_was_written(connection: Connection) -> None:
    asked = decision(refusal("a"), refusal("b"))
    number = record(connection, asked)
    (found,) = verdicts(connection, "default")
    assert (found.id, found.target, found.allowed) == (number, "champion", False)
    assert found.verdict == asked.verdict


def test_verdicts_come_newest_first_and_can_be_chosen(connection: Connection) -> None:
    for version in (1, 2):
        record(connection, decision(version=version))
    record(connection, decision(refusal("a"), version=3))
    found = [one.version for one in verdicts(connection, "default")]
    assert found == [3, 2, 1]
    assert [v.version for v in verdicts(connection, "default", refused=True)] == [3]
    assert [v.version for v in verdicts(connection, "default", limit=2)] == [3, 2]
    assert [v.version for v in verdicts(connection, "default", version=1)] == [1]
    assert list(verdicts(connection, "default", name="other")) == []
    assert list(verdicts(connection, "elsewhere")) == []


def test_no_client_can_make_the_ledger_grow_without_bounds(
    connection: Connection,
) -> None:
    many = (refusal(f"channel-{number}") for number in range(5000))
    record(connection, decision(*many))
    (found,) = verdicts(connection, "default")
    assert len(found.verdict.refusals) == MAX_REFUSALS + 1
    assert found.verdict.refusals[-1].sentence == "And 4900 more refusals."


def test_what_another_release_wrote_is_read(connection: Connection) -> None:
    record(connection, decision(refusal("a")))
    (text,) = connection.execute(sa.select(VERDICTS.c.refusals)).one()
    later = [{**one, "severity": "high"} for one in json.loads(text)]
    connection.execute(VERDICTS.update().values(refusals=json.dumps(later)))
    (found,) = verdicts(connection, "default")
    assert found.verdict.refusals == (refusal("a"),)
