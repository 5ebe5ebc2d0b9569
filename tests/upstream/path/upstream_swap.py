"""A pytest plugin: MLflow's test modules find our stores under MLflow's names.

Where MLflow tests its stores of artifacts it finds the sealed ones.
"""

from __future__ import annotations

import os

import pytest

OURS = os.environ["NORMGATE_UPSTREAM_MODE"] != "plain"
LOCAL = "tests.store.artifact.test_local_artifact_repo"
S3 = "tests.store.artifact.test_s3_artifact_repo"
DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"


def _swap() -> None:
    from mlflow.store.model_registry import sqlalchemy_store, sqlalchemy_workspace_store
    from upstream_store import UpstreamStore, UpstreamWorkspaceStore

    sqlalchemy_store.SqlAlchemyStore = UpstreamStore
    sqlalchemy_workspace_store.SqlAlchemyStore = UpstreamStore
    sqlalchemy_workspace_store.WorkspaceAwareSqlAlchemyStore = UpstreamWorkspaceStore


if OURS:
    _swap()


@pytest.fixture(autouse=OURS)
def _sealed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.module.__name__ == LOCAL:
        from mlflow_normgate.sealed_local import SealedLocalArtifactRepository as Sealed

        monkeypatch.setattr(request.module, "LocalArtifactRepository", Sealed)
    if request.module.__name__ == S3:
        monkeypatch.setenv(DESTINATION, "normgate+s3://everything")
