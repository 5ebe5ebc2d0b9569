"""What MLflow's entry points load: it imports no MLflow, whatever is imported first.

MLflow loads its plugins while it is itself being imported. A plugin that imports
MLflow at its top would then be left out with a warning, and the registry left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_normgate.store import GatedStore


def build(store_uri: str, **options: Any) -> GatedStore:
    """Build the gated registry store; see `mlflow_normgate.store.build`."""
    from mlflow_normgate import store

    return store.build(store_uri, **options)
