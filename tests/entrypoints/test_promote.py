from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from tests.tracking.bundle_files import (
    RIGHT,
    WRONG,
    database,
    log_folder,
    write_bundle,
)

from mlflow_normgate import reserved
from mlflow_normgate.registry import bound_contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "contracts" / "plate_3ch.json"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """The working folder's own database, with a wrong and a right version in it."""
    monkeypatch.chdir(tmp_path)
    for key in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(key, raising=False)
    with database(tmp_path, "sqlite") as found:
        found.create_registered_model("rescue-0ms")
        for number, spec in enumerate((WRONG, RIGHT)):
            logged = log_folder(found, write_bundle(tmp_path / str(number), spec))
            tags = {reserved.BUNDLE: "1"}
            found.create_model_version("rescue-0ms", logged.source, tags=tags)
        yield found


def run(*arguments: str) -> Result:
    path = ROOT / "entrypoints" / "promote.py"
    spec = importlib.util.spec_from_file_location("entry_promote", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: click.Command = module.main
    return CliRunner().invoke(main, ["--model", "rescue-0ms", *arguments])


def last_status(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("normgate")
    assert experiment is not None
    return str(client.search_runs([experiment.experiment_id])[0].info.status)


def test_the_newest_version_is_promoted_and_the_contract_bound(
    client: MlflowClient,
) -> None:
    result = run("--contract", str(CONTRACT))
    assert result.exit_code == 0, result.output
    assert "rescue-0ms version 2 is allowed and is now champion." in result.output
    assert client.get_model_version_by_alias("rescue-0ms", "champion").version == 2
    assert bound_contract("rescue-0ms") is not None
    assert last_status(client) == "FINISHED"


def test_a_refusal_is_one_sentence_and_a_failed_run(client: MlflowClient) -> None:
    result = run("--version", "1", "--contract", str(CONTRACT))
    assert result.exit_code == 2
    assert "Promotion of rescue-0ms version 1 to champion refused" in result.output
    assert "Channel RFP1 was trained with" in result.output
    assert "Traceback" not in result.output
    assert last_status(client) == "FAILED"
    assert client.get_registered_model("rescue-0ms").aliases == {}


def test_without_a_contract_nothing_is_promoted(client: MlflowClient) -> None:
    result = run()
    assert result.exit_code == 2
    assert "No contract is bound" in result.output


def test_a_version_that_does_not_exist_is_told(client: MlflowClient) -> None:
    result = run("--version", "9")
    assert result.exit_code == 2
    assert "not found" in result.output
