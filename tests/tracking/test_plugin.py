"""The gate is in force whatever a process imports first."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from mlflow_normgate.plugin import DESTINATION, _close_assistant

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
from mlflow.server.assistant import api
assert api._is_localhost.__module__ == "mlflow_normgate.plugin"
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
        env={**os.environ, DESTINATION: f"normgate+file://{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["GatedStore", "GatedStore"]


def test_an_assistant_that_nobody_knows_how_to_close_is_not_started() -> None:
    with pytest.raises(ImportError, match=r"another has no .*_is_localhost"):
        _close_assistant(ModuleType("another"))
