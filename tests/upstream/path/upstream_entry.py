"""The entry point that MLflow loads while it is itself imported; it imports none."""

from __future__ import annotations

from typing import Any


def build(store_uri: str, **options: Any) -> Any:
    """Build the store; see `upstream_store.build`."""
    import upstream_store

    return upstream_store.build(store_uri, **options)
