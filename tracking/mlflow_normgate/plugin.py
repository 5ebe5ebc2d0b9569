"""What MLflow's entry points load: it imports no MLflow, whatever is imported first.

MLflow loads its plugins while it is itself being imported. A plugin that imports
MLflow at its top would then be left out with a warning, and the registry left open.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    from mlflow_normgate.store import GatedStore

SEAL = "normgate+"
# MLflow's name for it stands in `mlflow.server`.
DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
REPOSITORIES = "mlflow.store.artifact.artifact_repository_registry"
ASSISTANT = "mlflow.server.assistant.api"
NO_ASSISTANT = (
    "MLflow's assistant runs commands with the rights of the server, whose registry is "
    "gated, so this server has none. Use the assistant of another MLflow server."
)


def build(store_uri: str, **options: Any) -> GatedStore:
    """Build the gated registry store; see `mlflow_normgate.store.build`."""
    from mlflow_normgate import store

    return store.build(store_uri, **options)


def sealed_local(artifact_uri: str, **options: Any) -> ArtifactRepository:
    """The sealed store of a local folder; see `mlflow_normgate.sealed_local`."""
    from mlflow_normgate.sealed_local import SealedLocalArtifactRepository

    return SealedLocalArtifactRepository(artifact_uri, **options)


def sealed_s3(artifact_uri: str, **options: Any) -> ArtifactRepository:
    """The sealed store of an S3 bucket; see `mlflow_normgate.sealed_s3`."""
    from mlflow_normgate.sealed_s3 import SealedS3ArtifactRepository

    return SealedS3ArtifactRepository(artifact_uri, **options)


def plain_s3(artifact_uri: str, **options: Any) -> ArtifactRepository:
    """The store at an address without a seal; sealed too where the server's own is.

    A client names such an address when it creates an experiment. It may lie inside the
    server's own store, and be written with the server's own rights.
    """
    if _sealed_server():
        return sealed_s3(artifact_uri, **options)
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    return S3ArtifactRepository(artifact_uri, **options)


def _plain_local(artifact_uri: str, **options: Any) -> ArtifactRepository:
    """The same of a local folder."""
    if _sealed_server():
        return sealed_local(artifact_uri, **options)
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    return LocalArtifactRepository(artifact_uri, **options)


def _sealed_server() -> bool:
    return os.environ.get(DESTINATION, "").startswith(SEAL)


def _close_assistant(api: ModuleType) -> None:
    """Let MLflow's assistant refuse everyone, as it refuses another machine's clients.

    It takes whoever comes from the server's own machine, or through a proxy there, for
    its owner, and runs the commands that a language model of their choice tells it.
    """
    closed = {
        "_is_localhost": lambda _: False,
        "_provider_allows_remote_access": lambda _: False,
        "_BLOCK_REMOTE_ACCESS_ERROR_MSG": NO_ASSISTANT,
    }
    unknown = closed.keys() - vars(api).keys()
    if unknown:  # Another MLflow; better no server than one with an open door.
        raise ImportError(f"{api.__name__} has no {', '.join(sorted(unknown))}")
    vars(api).update(closed)


def __getattr__(name: str) -> Any:
    """Give MLflow `plain_local`, and register it for paths without a scheme as well.

    No entry point can have the empty name of those, so it is done when MLflow loads
    the one for `file`: then its registry is there. So is what tells when the assistant
    of a server is imported.
    """
    if name != "plain_local":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _sealed_server():
        from mlflow.utils.import_hooks import register_post_import_hook

        register_post_import_hook(_close_assistant, ASSISTANT)
    if REPOSITORIES in sys.modules:
        registry = sys.modules[REPOSITORIES]._artifact_repository_registry
        registry.register("", _plain_local)
    return _plain_local
