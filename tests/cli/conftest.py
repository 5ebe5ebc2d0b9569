"""A process of its own for each command, as far as MLflow's settings go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest

from mlflow_normgate.storage import ARTIFACTS_DESTINATION, SERVE_ARTIFACTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = (
    "NORMGATE_STORE",
    "NORMGATE_ARTIFACTS",
    "NORMGATE_SECRETS",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_ENABLE_WORKSPACES",
    "MLFLOW_WORKSPACE",
    ARTIFACTS_DESTINATION,
    SERVE_ARTIFACTS,
)


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for key in SETTINGS:
        # Set first, so that what a command sets is taken back afterwards.
        monkeypatch.setenv(key, "")
        monkeypatch.delenv(key)
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)
