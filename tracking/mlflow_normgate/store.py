"""The gated registry store: every write of MLflow's own SQL store that needs it.

Every alias outside a short open list and the stages Staging and Production are
protected; tags under `normgate.` are the store's own. How a decision gets into MLflow's
transaction is told in `gating`, how contracts change in `binding`, how a promoted
version is read in `reading`. Prompts are no models and stay as they are. A database
that normgate was never initialized in behaves as plain MLflow.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from mlflow.entities.model_registry import ModelVersionTag
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore,
)
from mlflow.utils.validation import _validate_model_version

from mlflow_normgate import reserved
from mlflow_normgate.actor import may_change_contracts
from mlflow_normgate.evidence import collect
from mlflow_normgate.judging import registered_note
from mlflow_normgate.ledger.contracts import is_pattern
from mlflow_normgate.ledger.rules import PROTECTED_STAGES
from mlflow_normgate.notes import with_note
from mlflow_normgate.pace import keep_pace
from mlflow_normgate.reading import VerifyingStore
from mlflow_normgate.reserved import invalid, refused
from normgate.errors import ContractError
from normgate.gate import protected_alias, protected_stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

SCHEME = "normgate+"
# MLflow's name for it stands in `mlflow.server`, which a client need not import.
READ_REPLICA = "_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE"


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


class GatedStore(VerifyingStore):
    """MLflow's registry store that allows no unverified promotion."""

    # Versions: evidence is recorded when a version is registered.

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
        tags = list(tags or [])
        if any(tag.key == reserved.BUNDLE for tag in tags):
            self.initialize()
        if self.gated:
            tags = [
                tag for tag in tags if not (tag.key or "").startswith(reserved.RESERVED)
            ]
        create = functools.partial(
            super().create_model_version,
            name=name,
            source=source,
            run_link=run_link,
            local_model_path=local_model_path,
            model_id=model_id,
        )
        if not self.gated or self.is_prompt(name, source):
            return create(run_id=run_id, tags=tags, description=description)
        keep_pace()
        evidence = collect(self.location(source))
        found = reserved.record(evidence).items()
        note = registered_note(evidence, self.demanded(name))
        with self.registering(evidence):
            return create(
                run_id=evidence.source_run if evidence.model_id else run_id,
                tags=[*tags, *(ModelVersionTag(*pair) for pair in found)],
                description=with_note(description, note),
            )

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        """Set a tag that is not evidence."""
        self._refuse_reserved(tag.key)
        super().set_model_version_tag(name, version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag that is not evidence."""
        self._refuse_reserved(key)
        super().delete_model_version_tag(name, version, key)

    # Promotions.

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Set an alias; a protected one is decided on."""
        if alias in PROTECTED_STAGES and self.gated:
            raise invalid(
                f"{alias} is a legacy stage and can be no alias. Choose another alias, "
                "such as champion."
            )
        if not protected_alias(alias):
            super().set_registered_model_alias(name, alias, version)
            return
        with self.deciding(name, version, alias):
            super().set_registered_model_alias(name, alias, version)

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Change a legacy stage; Staging and Production are decided on."""
        target = get_canonical_stage(stage)
        protected = protected_stage(target)
        # As a number: MLflow compares it as it is, which psycopg 3 does not take.
        version = _validate_model_version(version)
        with self.deciding(name, version, target) if protected else self.holding(name):
            return super().transition_model_version_stage(
                name, version, stage, archive_existing_versions
            )

    # What takes a promotion away, which is anyone's, waits for decisions.

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias; the database ends its promotion."""
        with self.holding(name):
            super().delete_registered_model_alias(name, alias)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version; the database ends what it was promoted to."""
        with self.holding(name):
            super().delete_model_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model; the database ends what was promoted of it."""
        with self.holding(name):
            super().delete_registered_model(name)

    # Registered models: what is demanded of them.

    def create_registered_model(
        self,
        name: str,
        tags: Iterable[Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a registered model, labelled with the contract that its name has."""
        tags = list(tags or [])
        for tag in tags:
            self._refuse_reserved(tag.key)
        made = super().create_registered_model(
            name, tags, description, deployment_job_id
        )
        if not self.gated or any(tag.key == IS_PROMPT_TAG_KEY for tag in tags):
            return made
        with self.ManagedSessionMaker(read_only=False) as session:
            self.lock(session, name)
            self.label(session, name)
            session.flush()
            session.expire_all()
            # Not from a read replica, which may not have it yet.
            row = self._get_registered_model(session, name, eager=True)
            return row.to_mlflow_entity()

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model; what is promoted must be allowed under its new name."""
        with self.renaming(name, new_name):
            return super().rename_registered_model(name, new_name)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a tag; one of them binds a contract, and is not stored itself."""
        if tag.key == reserved.BIND:
            self._bind(name, tag.value)
            return
        if tag.key == IS_PROMPT_TAG_KEY and self.gated:
            _refuse_prompt(self.get_registered_model(name))
        self._refuse_reserved(tag.key)
        super().set_registered_model_tag(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag that is not the store's own."""
        self._refuse_reserved(key)
        super().delete_registered_model_tag(name, key)

    def _bind(self, name: str, value: str) -> None:
        if not may_change_contracts():
            raise refused(
                "Only an administrator of this server may change the contract of "
                f"{name}. Ask one, and say why it should change."
            )
        if is_pattern(name):
            raise invalid(
                f"{name!r} stands for other names too. Bind a pattern where the "
                "registry's database is, with `normgate contract bind`."
            )
        try:
            binding = reserved.parse_binding(value)
        except ContractError as error:
            raise invalid(f"The contract is not valid: {error}.") from error
        self.get_registered_model(name)
        self.bind_contract(name, *binding)

    def _refuse_reserved(self, key: str | None) -> None:
        # A key that is none is MLflow's to refuse.
        if key and key.startswith(reserved.RESERVED) and self.gated:
            raise invalid(
                f"Tag {key!r} is reserved: what stands under it is written by the "
                "registry itself. Choose a name that does not begin with "
                f"{reserved.RESERVED!r}."
            )


class GatedWorkspaceStore(GatedStore, WorkspaceAwareSqlAlchemyStore):
    """The same, for a server with workspaces."""


def _refuse_prompt(model: RegisteredModel) -> None:
    if IS_PROMPT_TAG_KEY not in model._tags:
        raise invalid(
            f"{model.name} holds models, and a model can't be turned into a prompt. "
            "Create the prompt under another name."
        )
