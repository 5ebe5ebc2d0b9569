"""The store that MLflow's own tests are given in place of MLflow's.

`NORMGATE_UPSTREAM_MODE` says how much of the gate is at work:

- `ungated`: normgate is installed and was never initialized in the database.
- `open`: the database is initialized, and no alias and no stage is protected.
- `allowed`: every alias and stage is protected, and every verdict allows, so that
  promotions are frozen, written down, verified and held by the triggers.
- `gated`: everything as in production; MLflow's tests register no bundles, so every
  promotion is refused.

In `open` and `allowed` nothing is shown on pages (notes, tags), which MLflow's tests
compare with what they wrote. `build` stands as an entry point in the servers that those
tests start; `upstream_swap` puts the classes into the tests' own process.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry.model_version_stages import ALL_STAGES
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES

from normgate import gate
from normgate.contract import parse_contract
from normgate.gate import Evidence, Verdict, policy

MODE = os.environ["NORMGATE_UPSTREAM_MODE"]
READ_REPLICA = "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE"
CONTRACT = Path(__file__).resolve().parents[3] / "contracts" / "plate_3ch.json"


class Everything(frozenset[str]):
    """A set that every name is in."""

    def __contains__(self, name: object) -> bool:
        return True


def _protect_nothing() -> None:
    """Open the lists of the gate, then what the triggers make of them."""
    assert "mlflow_normgate.ledger.rules" not in sys.modules
    gate.OPEN_ALIASES = policy.OPEN_ALIASES = Everything(policy.OPEN_ALIASES)
    gate.OPEN_STAGES = policy.OPEN_STAGES = frozenset(ALL_STAGES)
    from mlflow_normgate.ledger import rules

    rules.SQL_OPEN_ALIASES = "(NEW.alias)"
    rules.SQL_PROTECTED_STAGES = "('')"


if MODE == "open":
    _protect_nothing()

from mlflow_normgate import evidence, judging, notes, reserved, store  # noqa: E402


def _digest(location: str) -> str:
    return hashlib.sha256(location.encode()).hexdigest()


def _collect(location: str) -> Evidence:
    """Evidence on files that are not there."""
    found = _digest(location)
    return Evidence(
        model_id=None,
        ready=True,
        source_run=None,
        directory_digest=found,
        manifest_digest=found,
    )


def _put(value: Any, real: Any) -> None:
    """Put a value in the place of a function, wherever the store knows it."""
    places = [
        (module, name)
        for key, module in sys.modules.items()
        if key.startswith("mlflow_normgate")
        for name, known in vars(module).items()
        if known is real
    ]
    assert places, f"the store does not use {real}"
    for module, name in places:
        setattr(module, name, value)


def _allow_everything() -> None:
    contract = parse_contract(CONTRACT.read_bytes(), CONTRACT.name)
    _put(_collect, evidence.collect)
    _put(_digest, evidence.served_digest)
    _put(lambda *_: Verdict(()), policy.decide)
    judging.in_force = lambda *_: contract


def _show_nothing() -> None:
    _put(lambda description, _: description, notes.with_note)
    _put(lambda *_: None, judging.show)
    _put(lambda _: {}, reserved.record)
    _put(lambda _: {}, reserved.frozen)


if MODE == "allowed":
    _allow_everything()
if MODE in {"open", "allowed"}:
    _show_nothing()


class _Initialized(store.GatedStore):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if MODE != "ungated":
            self.initialize()


class UpstreamStore(_Initialized):
    """The gated store as `MODE` has it."""


class UpstreamWorkspaceStore(_Initialized, store.GatedWorkspaceStore):
    """The same, for a server with workspaces."""


def build(store_uri: str, **_: Any) -> store.GatedStore:
    """Build the store for a database URI, as MLflow's entry points ask."""
    workspaces = MLFLOW_ENABLE_WORKSPACES.get()
    cls = UpstreamWorkspaceStore if workspaces else UpstreamStore
    return cls(store_uri, read_db_uri=os.environ.get(READ_REPLICA) or None)
