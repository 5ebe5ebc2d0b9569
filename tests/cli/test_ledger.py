"""The ledger's commands over a registry with one promotion and one refusal."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from tests.cli.command import ROOT, run
from tests.tracking.bundle_files import (
    CONTRACT,
    RIGHT,
    WRONG,
    database,
    log_folder,
    write_bundle,
)

from mlflow_normgate.registry import bind_contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient


PLATE = ROOT / "contracts" / "plate_3ch.json"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MlflowClient]:
    with database(tmp_path, "sqlite") as client:
        yield client


@pytest.fixture
def store(client: MlflowClient) -> str:
    """A database in which version 1 is champion and version 2 was refused."""
    bind_contract("rescue", CONTRACT, "first of its kind")
    for number, spec in enumerate((RIGHT, WRONG), start=1):
        folder = write_bundle(path(client).parent / f"bundle-{number}", spec)
        client.create_model_version("rescue", log_folder(client, folder).source)
    client.set_registered_model_alias("rescue", "champion", "1")
    with pytest.raises(MlflowException, match="refused"):
        client.set_registered_model_alias("rescue", "champion", "2")
    return str(client.tracking_uri)


def path(client: MlflowClient) -> Path:
    return Path(client.tracking_uri.removeprefix("sqlite:///"))


def test_the_ledger_lists_the_newest_first(store: str) -> None:
    result = run("ledger", "list", "--store", store)
    assert result.exit_code == 0
    refused, *reasons, allowed = result.output.splitlines()
    assert " refused: promote rescue version 2 to champion, contract plate" in refused
    assert any("Channel RFP1" in reason for reason in reasons)
    assert " allowed: promote rescue version 1 to champion" in allowed


@pytest.mark.parametrize(
    ("words", "versions"),
    [
        pytest.param((), [2, 1], id="all"),
        pytest.param(("--refused",), [2], id="refused"),
        pytest.param(("--model", "rescue", "--limit", "1"), [2], id="limited"),
        pytest.param(("--model", "another"), [], id="of-another-model"),
    ],
)
def test_the_ledger_is_listed_in_part(
    store: str, words: tuple[str, ...], versions: list[int]
) -> None:
    result = run("ledger", "list", "--json", "--store", store, *words)
    found = json.loads(result.output)
    assert [one["version"] for one in found] == versions
    assert all((not one["refusals"]) == one["allowed"] for one in found)


def test_the_ledger_is_exported_with_every_field(store: str, tmp_path: Path) -> None:
    lines, table = tmp_path / "ledger.jsonl", tmp_path / "ledger.csv"
    for out in (lines, table):
        result = run("ledger", "export", "--out", str(out), "--store", store)
        assert result.output == f"{out}: 2 verdicts\n"
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = sa.inspect(sa.create_engine(store)).get_columns("normgate_verdicts")
    kept = {column["name"] for column in columns} - {"decided_ms"} | {"decided"}
    for record, row in zip(records, rows, strict=True):
        assert record.keys() == row.keys() == kept
        assert row["name"] == record["name"] == "rescue"
        assert json.loads(row["refusals"]) == record["refusals"]
        assert json.loads(row["channels"]) == record["channels"]


def test_an_export_that_fails_leaves_no_file(store: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    out = str(tmp_path / "ledger.jsonl")
    result = run("ledger", "export", "--out", out, "--store", "sqlite:///none.db")
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_an_export_of_another_kind_is_refused(store: str) -> None:
    result = run("ledger", "export", "--out", "ledger.xlsx", "--store", store)
    assert result.exit_code == 2
    assert "ends in .jsonl or .csv" in result.stderr


def test_what_is_promoted_is_verified(store: str, client: MlflowClient) -> None:
    result = run("verify", "--store", store)
    assert result.exit_code == 0
    assert result.output == "rescue version 1 is champion: as it was allowed\n"

    champion = client.get_model_version_by_alias("rescue", "champion")
    model = client.get_logged_model(champion.model_id or champion.source[-34:])
    folder = Path(model.artifact_location.removeprefix("file://"))
    (folder / "artifacts" / "bundle" / "card.json").write_text("{}")

    (found,) = json.loads(run("verify", "--json", "--store", store).output)
    assert (found["target"], found["demoted"]) == ("champion", False)
    assert "card.json was altered" in found["problem"]
    assert client.get_registered_model("rescue").aliases == {"champion": 1}

    result = run("verify", "--demote", "--store", store)
    assert result.exit_code == 1
    assert "It was demoted." in result.output
    assert client.get_registered_model("rescue").aliases == {}
    assert run("verify", "--store", store).exit_code == 0


def test_what_was_never_gated_is_not_called_verified(sqlite_uri: str) -> None:
    result = run("verify", "--store", sqlite_uri)
    assert result.exit_code == 2
    assert "nothing was ever gated in this database" in result.stderr


def test_the_ledger_goes_only_when_asked_for_and_comes_back(store: str) -> None:
    refused = run("ledger", "downgrade", "--store", store)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert run("ledger", "downgrade", "--yes", "--store", store).exit_code == 0
    tables = sa.inspect(sa.create_engine(store)).get_table_names()
    assert not [name for name in tables if name.startswith("normgate")]
    assert run("ledger", "upgrade", "--store", store).exit_code == 0
    assert sa.inspect(sa.create_engine(store)).has_table("normgate_gate")


@pytest.mark.parametrize(
    "words",
    [
        ("ledger", "list"),
        ("verify",),
        ("contract", "list"),
        ("contract", "add", str(PLATE), "--reason", "first"),
        ("contract", "bind", "rescue-*", str(PLATE), "--reason", "first"),
        ("contract", "show", "plate"),
    ],
    ids=" ".join,
)
def test_a_server_is_told_from_its_database(words: tuple[str, ...]) -> None:
    result = run(*words, "--store", "http://user:secret@127.0.0.1:1")
    assert result.exit_code == 2
    assert "name the database with --store" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.output
