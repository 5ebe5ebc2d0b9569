from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.command import RIGHT, run

from normgate.contract import read_contract

if TYPE_CHECKING:
    from pathlib import Path


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
