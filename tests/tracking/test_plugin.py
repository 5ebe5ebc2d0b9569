"""The gate is in force whatever a process imports first."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TRY = """
import sys
import {first}
from mlflow.server import handlers
from mlflow.tracking._model_registry import utils
from mlflow_normgate.plugin import build
for known in (handlers._model_registry_store_registry, utils._get_store_registry()):
    for scheme in ("sqlite", "postgresql", "normgate+sqlite", "normgate+postgresql"):
        assert known._registry[scheme] is build, scheme
from mlflow.store.artifact.artifact_repository_registry import (
    get_registered_artifact_repositories,
)
repositories = get_registered_artifact_repositories()
for scheme in ("", "file", "s3", "normgate+file", "normgate+s3"):
    assert repositories[scheme].__module__ == "mlflow_normgate.plugin", scheme
for store in (utils._get_store, handlers._get_model_registry_store):
    print(type(store(sys.argv[1])).__name__)
"""


@pytest.mark.parametrize(
    "first",
    [
        "mlflow",
        "mlflow.server",
        "mlflow_normgate.plugin",
        "mlflow_normgate.registry",
        "mlflow_normgate.store",
    ],
)
def test_every_order_of_imports_gives_the_gated_store(
    tmp_path: Path, first: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRY.format(first=first), f"sqlite:///{tmp_path}/m.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["GatedStore", "GatedStore"]
