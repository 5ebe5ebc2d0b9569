"""The gated registry store: every write of MLflow's own SQL store that needs it.

Every alias outside a short open list and the stages Staging and Production are
protected; tags under `normgate.` are the store's own; a contract is validated before
it is bound. How a decision gets into MLflow's transaction is told in `gating`. Prompts
are no models and stay as they are. See `mark` for databases that normgate was never
initialized in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mlflow.entities.model_registry import ModelVersionTag
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore,
)

from mlflow_normgate import reserved
from mlflow_normgate.evidence import collect, served_digest
from mlflow_normgate.gating import PROTECTED_STAGES, GatingStore
from mlflow_normgate.reserved import invalid, refused
from normgate.errors import ContractError
from normgate.gate import protected_alias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

    from normgate.contract import Contract

SCHEME = "normgate+"
# MLflow's name for it stands in `mlflow.server`, which a client need not import.
READ_REPLICA = "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE"
LATEST = "latest"
"""MLflow's own word for the newest version; it is no alias and can't be set."""


def build(store_uri: str, **_: Any) -> GatedStore:
    """Build the store for a database URI, as MLflow's entry points ask.

    Args:
        store_uri: `sqlite:///...` or `postgresql://...`; with `normgate+` in front it
            is initialized for normgate, and can't be opened where normgate is missing.
    """
    workspaces = MLFLOW_ENABLE_WORKSPACES.get()
    cls = GatedWorkspaceStore if workspaces else GatedStore
    replica = os.environ.get(READ_REPLICA) or None
    store = cls(store_uri.removeprefix(SCHEME), read_db_uri=replica)
    if store_uri.startswith(SCHEME):
        store.initialize()
    return store


class GatedStore(GatingStore):
    """MLflow's registry store that allows no unverified promotion."""

    # Versions: the evidence is recorded when a version is created.

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Iterable[Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Create a version; reserved tags that were sent are replaced by evidence."""
        sent = list(tags or [])
        kept = [tag for tag in sent if not tag.key.startswith(reserved.RESERVED)]
        if len(kept) < len(sent):
            self.initialize()
        if self.gated and not self.is_prompt(name, source):
            evidence = collect(self.location(source))
            run_id = evidence.source_run if evidence.model_id else run_id
            found = reserved.record(evidence)
            kept += [ModelVersionTag(key, value) for key, value in found.items()]
        return super().create_model_version(
            name,
            source,
            run_id,
            kept,
            run_link,
            description,
            local_model_path,
            model_id,
        )

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        """Set a tag that is not evidence."""
        _refuse_reserved(tag.key)
        super().set_model_version_tag(name, version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag that is not evidence."""
        _refuse_reserved(key)
        super().delete_model_version_tag(name, version, key)

    # Promotions.

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Set an alias; a protected one is decided on."""
        with self.deciding(name, version, alias, protected=protected_alias(alias)):
            super().set_registered_model_alias(name, alias, version)

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Change a legacy stage; Staging and Production are decided on."""
        canonical = get_canonical_stage(stage)
        protected = canonical in PROTECTED_STAGES
        with self.deciding(name, version, canonical, protected=protected):
            return super().transition_model_version_stage(
                name, version, stage, archive_existing_versions
            )

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Resolve an alias; what a protected one leads to is hashed again."""
        found = super().get_model_version_by_alias(name, alias)
        if not (self.gated and protected_alias(alias)) or alias.lower() == LATEST:
            return found
        if self.is_prompt(name, found.source):
            return found
        recorded = found.tags.get(reserved.DIRECTORY_DIGEST)
        location = self.get_model_version_download_uri(name, found.version)
        if recorded is None or served_digest(location) != recorded:
            raise refused(
                f"{name}@{alias} is version {found.version}, whose files are not those "
                "that were registered under the gate. Find out who changed them, then "
                "register the model again from its run and promote that version."
            )
        return found

    # Registered models: the contract.

    def create_registered_model(
        self,
        name: str,
        tags: Iterable[Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a registered model, with a contract among its tags if one is sent."""
        tags = list(tags or [])
        for tag in tags:
            if tag.key == reserved.CONTRACT:
                _parse_contract(tag.value)
                self.initialize()
            elif tag.key != reserved.REASON:
                _refuse_reserved(tag.key)
        return super().create_registered_model(
            name, tags, description, deployment_job_id
        )

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a tag; a contract must be one that every promoted version fulfils."""
        if tag.key == reserved.CONTRACT:
            contract = _parse_contract(tag.value)
            self.initialize()
            with self.rebinding(name, contract):
                super().set_registered_model_tag(name, tag)
            return
        if tag.key == IS_PROMPT_TAG_KEY and self.gated:
            _refuse_prompt(self.get_registered_model(name))
        if tag.key != reserved.REASON:
            _refuse_reserved(tag.key)
        super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag; a contract only when nothing is promoted under it."""
        if key == reserved.CONTRACT:
            with self.rebinding(name, None):
                super().delete_registered_model_tag(name, key)
            return
        _refuse_reserved(key)
        super().delete_registered_model_tag(name, key)


class GatedWorkspaceStore(GatedStore, WorkspaceAwareSqlAlchemyStore):
    """The same, for a server with workspaces."""


def _refuse_prompt(model: RegisteredModel) -> None:
    if IS_PROMPT_TAG_KEY not in model._tags:
        raise invalid(
            f"{model.name} holds models, and a model can't be turned into a prompt. "
            "Create the prompt under another name."
        )


def _refuse_reserved(key: str) -> None:
    if key.startswith(reserved.RESERVED):
        raise invalid(
            f"Tag {key!r} is reserved: what stands under it is evidence that the "
            "registry writes by itself. Choose a name that does not begin with "
            f"{reserved.RESERVED!r}."
        )


def _parse_contract(value: str) -> Contract:
    try:
        contract = reserved.contract_from_tag(value)
    except ContractError as error:
        raise invalid(f"The contract is not valid: {error}.") from error
    if contract is None:
        raise invalid("The contract is empty. Bind a contract's JSON.")
    return contract
