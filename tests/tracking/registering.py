"""Steps that tests of the registry share: bundles registered, contracts bound."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from tests.tracking.bundle_files import (
    CONTRACT,
    EXPERIMENT,
    RIGHT,
    log_folder,
    write_bundle,
)

from mlflow_normgate import reserved
from mlflow_normgate.ledger.verdicts import promotions, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tracking.bundle_files import Logged

    from mlflow_normgate.ledger.verdicts import Decided
    from mlflow_normgate.store import GatedStore
    from normgate.contract import Contract, Spec

FOLDERS = count()


@dataclass(frozen=True, slots=True)
class Registry:
    """A gated registry, as a client and as its store."""

    client: MlflowClient
    folder: Path
    """For bundles."""

    @property
    def store(self) -> GatedStore:
        """The very store that the client speaks to."""
        store: GatedStore = self.client._get_registry_client().store
        return store

    def model(self, name: str, contract: Contract | None = CONTRACT) -> str:
        """Create a registered model, with a contract bound to its exact name."""
        self.client.create_registered_model(name)
        if contract is not None:
            self.bind(name, contract)
        return name

    def bind(self, name: str, contract: Contract | None = CONTRACT) -> None:
        """Bind a contract to an exact name, as a client without the database does."""
        text = reserved.binding(contract, "for a test")
        self.client.set_registered_model_tag(name, reserved.BIND, text)

    def logged(self, spec: Spec = RIGHT, *, auroc: float = 0.9) -> Logged:
        """Log a bundle as a model."""
        place = self.folder / f"bundle-{next(FOLDERS)}" / "bundle"
        return log_folder(self.client, write_bundle(place, spec, auroc=auroc))

    def register(self, name: str, logged: Logged) -> str:
        """Register what was logged, and return the version's number."""
        made = self.client.create_model_version(
            name, logged.source, logged.run_id, model_id=logged.model_id
        )
        return str(made.version)

    def champion(self, name: str, contract: Contract | None = CONTRACT) -> Logged:
        """Make a model with a version 1 that is its champion."""
        logged = self.logged()
        self.register(self.model(name, contract), logged)
        self.client.set_registered_model_alias(name, "champion", "1")
        return logged

    def aliases(self, name: str) -> dict[str, str]:
        """Every alias of a model, to its version."""
        found = self.client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def contract(self, name: str) -> str | None:
        """The contract as it is shown on the model's page."""
        shown = self.client.get_registered_model(name).tags
        label: str | None = shown.get(reserved.CONTRACT)
        return label

    def promoted(self, name: str) -> list[tuple[str, int]]:
        """What the ledger holds as promoted: targets and versions."""
        with self.store.ManagedSessionMaker() as session:
            held = promotions(session.connection(), "default")
        return [(one.target, one.version) for one in held if one.name == name]

    def verdicts(self, name: str) -> list[Decided]:
        """Every verdict on a model, the newest first."""
        with self.store.ManagedSessionMaker() as session:
            return list(verdicts(session.connection(), "default", name=name))


@contextmanager
def opened(uri: str, folder: Path) -> Iterator[Registry]:
    """A gated registry in a database that holds MLflow's tables."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri, f"normgate+{uri}")
    client.create_experiment(EXPERIMENT, (folder / "artifacts").as_uri())
    try:
        yield Registry(client, folder)
    finally:
        mlflow.set_tracking_uri(before)


def stored(logged: Logged) -> Path:
    """The folder of a logged model."""
    return Path(logged.location.removeprefix("file://"))
