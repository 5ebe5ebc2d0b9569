from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mlflow
import pytest
import sqlalchemy as sa
from tests.cli.command import RIGHT, ROOT, run

from normgate.contract import read_contract

if TYPE_CHECKING:
    from pathlib import Path

PLATE = str(ROOT / "contracts" / "plate_3ch.json")


def test_a_contract_is_made_of_a_spec_and_shown(tmp_path: Path) -> None:
    out = tmp_path / "contract.json"
    words = ["--name", "plate", "--floor", "test_auroc=0.7", "--out", str(out)]
    assert run("contract", "make", RIGHT, *words).exit_code == 0
    assert read_contract(out).floors[0].metric == "test_auroc"
    assert "test_auroc at least 0.7" in run("contract", "show", str(out)).output


def test_a_floor_must_be_a_number(tmp_path: Path) -> None:
    out = str(tmp_path / "contract.json")
    words = ["--name", "plate", "--floor", "test_auroc=high", "--out", out]
    result = run("contract", "make", RIGHT, *words)
    assert result.exit_code == 2
    assert "expected METRIC=NUMBER" in result.stderr


def test_a_contract_is_added_bound_released_and_listed(sqlite_uri: str) -> None:
    at = ("--store", sqlite_uri, "--reason", "first of its kind")
    assert run("contract", "add", PLATE, *at).exit_code == 0
    shown = run("contract", "show", "plate_3ch@1", "--store", sqlite_uri)
    assert shown.output == run("contract", "show", PLATE).output

    bound = run("contract", "bind", "rescue-*", "plate_3ch", *at)
    assert bound.output == "rescue-*: bound to contract plate_3ch version 1\n"
    assert run("contract", "bind", "rescue", PLATE, *at).exit_code == 0
    listed = run("contract", "list", "--store", sqlite_uri).output.splitlines()
    assert [line.split(" 20")[0].split("  ")[0] for line in listed] == [
        "contract plate_3ch version 1",
        "rescue: bound to plate_3ch version 1",
        "rescue-*: bound to plate_3ch version 1",
    ]
    assert all(line.endswith(": first of its kind") for line in listed)

    assert run("contract", "release", "rescue-*", *at).exit_code == 0
    found = json.loads(run("contract", "list", "--json", "--store", sqlite_uri).output)
    assert [one["pattern"] for one in found["bindings"]] == ["rescue"]
    assert [one["name"] for one in found["contracts"]] == ["plate_3ch"]


def test_without_a_store_the_tracking_server_is_asked(
    sqlite_uri: str,
) -> None:
    mlflow.set_tracking_uri(sqlite_uri)
    why = ("--reason", "first of its kind")
    assert run("contract", "bind", "rescue", PLATE, *why).exit_code == 0
    assert "rescue: bound to plate_3ch" in run("contract", "list").output
    assert run("contract", "release", "rescue", *why).exit_code == 0
    assert "bound to" not in run("contract", "list").output


@pytest.mark.parametrize("which", ["plate_3ch", "plate_3ch@2"])
def test_a_contract_that_the_ledger_lacks_is_told(sqlite_uri: str, which: str) -> None:
    at = ("--store", sqlite_uri, "--reason", "first of its kind")
    result = run("contract", "bind", "rescue", which, *at)
    assert result.exit_code == 2
    assert "the ledger has no such contract; it has none" in result.stderr
    run("contract", "add", PLATE, *at)
    result = run("contract", "bind", "rescue", "plate_9ch", *at)
    assert "it has plate_3ch@1" in result.stderr


def test_a_contract_is_never_rewritten(sqlite_uri: str, tmp_path: Path) -> None:
    at = ("--store", sqlite_uri, "--reason", "first of its kind")
    assert run("contract", "add", PLATE, *at).exit_code == 0
    other = str(tmp_path / "other.json")
    run("contract", "make", RIGHT, "--name", "plate_3ch", "--out", other)
    result = run("contract", "add", other, *at)
    assert result.exit_code == 2
    assert "never rewritten" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_each_workspace_has_contracts_of_its_own(sqlite_uri: str) -> None:
    with sa.create_engine(sqlite_uri).begin() as connection:
        connection.exec_driver_sql("INSERT INTO workspaces (name) VALUES ('team')")
    at, team = ("--store", sqlite_uri), ("--workspace", "team")
    why = ("--reason", "first of its kind")
    assert run("contract", "add", PLATE, *at, *team, *why).exit_code == 0
    assert "plate_3ch version 1" in run("contract", "list", *at, *team).output
    assert run("contract", "list", *at, "--workspace", "default").output == ""
    result = run("contract", "list", *at, "--workspace", "another")
    assert result.exit_code == 2
    assert "no workspace 'another': there are default, team" in result.stderr
