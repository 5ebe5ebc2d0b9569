"""Reading what is promoted: its bytes are held against what was frozen, every time.

By alias, by stage or by number, a promoted version is given out only while its files
are those that were allowed, and with the digests of the ledger instead of its tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_normgate import reserved
from mlflow_normgate.binding import BindingStore
from mlflow_normgate.evidence import served_digest
from mlflow_normgate.ledger.verdicts import promotions_of
from mlflow_normgate.reserved import refused
from normgate.gate import protected_alias, protected_stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

    from mlflow_normgate.ledger.verdicts import Held

LATEST = "latest"
"""MLflow's own word for the newest version; it is no alias and can't be set."""
ATTEMPTS = 3
"""An alias may move between two looks at it."""


class VerifyingStore(BindingStore):
    """The gating store, where nothing promoted is read without being verified."""

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Resolve an alias; what a protected one leads to is hashed again.

        Raises:
            MlflowException: With status 403, if the gate never allowed it, or if its
                files are not those that were allowed.
        """
        for _ in range(ATTEMPTS):
            found = super().get_model_version_by_alias(name, alias)
            if not (self.gated and protected_alias(alias)) or alias.lower() == LATEST:
                return found
            if self.is_prompt(name, found.source) or self._verified(found, alias):
                return found
        raise _never_allowed(found, alias)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """The newest version of each stage.

        One in a protected stage that is asked for by its name, which is how models are
        loaded from it, is hashed again.

        Raises:
            MlflowException: As for an alias.
        """
        for _ in range(ATTEMPTS):
            found: list[ModelVersion] = super().get_latest_versions(name, stages)
            if not (stages and self.gated):
                return found
            staged = [(one, str(one.current_stage)) for one in found]
            wrong = [
                (one, stage)
                for one, stage in staged
                if protected_stage(stage) and not self._verified(one, stage)
            ]
            if not wrong:
                return found
        raise _never_allowed(*wrong[0])

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where a version's files are; those of a promoted one are hashed again.

        Raises:
            MlflowException: With status 403, if they are not those that were allowed.
        """
        location = str(super().get_model_version_download_uri(name, version))
        if self.gated:
            for held in self._held(name, version)[:1]:
                self._verify(held)
        return location

    def _verified(self, found: ModelVersion, target: str) -> bool:
        """Whether a version holds what it was allowed to hold; then its bytes do too.

        Its tags are those of the ledger from now on.
        """
        for held in self._held(found.name, found.version):
            if held.target == target:
                self._verify(held)
                found._tags = {**found.tags, **reserved.frozen(held)}
                return True
        return False

    def _held(self, name: str, version: str) -> list[Held]:
        with self.ManagedSessionMaker() as session:
            workspace = self._get_active_workspace()
            held = promotions_of(session.connection(), workspace, name, int(version))
        return [one for one in held if one.directory_digest is not None]

    def _verify(self, held: Held) -> None:
        if served_digest(held.location) != held.directory_digest:
            raise refused(
                f"{held.name} version {held.version} is promoted to {held.target}, and "
                "its files are not those that were allowed. Find out who changed them, "
                "then register the model again from its run and promote that version."
            )


def _never_allowed(found: ModelVersion, target: str) -> MlflowException:
    return refused(
        f"{target} of {found.name} is version {found.version}, which the gate never "
        "allowed. Ask the gate for it: promote that version again."
    )
