"""The runner itself, on one test of a pretended MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.upstream.outcomes import Outcomes, differences, read_outcomes, table
from tests.upstream.run import MODES, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

OURS = ["upstream_store", "mlflow_normgate.store"]
TESTS = """
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore


def test_of_one_alias(tmp_path):
    store = SqlAlchemyStore(f"sqlite:///{tmp_path}/mlflow.db")
    assert {one.__module__ for one in type(store).__mro__} >= set(MODULES)
    store.create_registered_model("model")
    store.create_model_version("model", "s3://bucket/folder")
    store.set_registered_model_alias("model", "champion", "1")
    assert store.get_model_version_by_alias("model", "champion").version == 1
"""


def outcomes(folder: Path, mode: str) -> Outcomes:
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True, exist_ok=True)
    modules = [] if mode == "plain" else OURS
    (tests / "test_alias.py").write_text(f"MODULES = {modules}{TESTS}")
    (folder / "checkout" / "pyproject.toml").touch()
    report = folder / f"{mode}.xml"
    run(folder / "checkout", folder / mode, mode, ("",), None, report)
    return read_outcomes(report)


def test_every_mode_runs_the_store_that_it_promises(tmp_path: Path) -> None:
    runs = {mode: outcomes(tmp_path, mode) for mode in MODES}
    total = table(runs).splitlines()[-1]
    assert total == "| all |" + " 1 / 0 / 0 |" * 4 + " 0 / 1 / 0 |"
    [difference] = differences(runs["plain"], runs["gated"])
    assert "passed -> failed: mlflow_normgate" in difference
    assert "Promotion of model version 1 to champion refused" in difference
