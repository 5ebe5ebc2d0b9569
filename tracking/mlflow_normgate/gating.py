"""How a decision gets into MLflow's own transaction.

Collect, decide, act. Evidence is collected from the bytes before any lock is taken;
the decision and MLflow's write share one transaction that holds the registered model's
row, so two racing promotions, or a promotion and a change of contract, can't leave an
alias that nobody allowed. MLflow's writes call `_get_sql_model_version` or
`_get_registered_model` first thing in their session: that is where it is decided.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from mlflow.entities.model_registry.model_version_stages import (
    STAGE_PRODUCTION,
    STAGE_STAGING,
)
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS, IS_PROMPT_TAG_KEY
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from mlflow_normgate import reserved
from mlflow_normgate.evidence import collect, location_of
from mlflow_normgate.mark import is_marked, mark
from mlflow_normgate.reserved import invalid, refused
from normgate.errors import ContractError
from normgate.gate import decide, protected_alias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from normgate.contract import Contract
    from normgate.gate import Evidence

PROTECTED_STAGES = (STAGE_STAGING, STAGE_PRODUCTION)
PROMOTED_MEANWHILE = (
    "Another promotion of {name} went ahead while this contract was being checked. "
    "Try again."
)


class _Pending(threading.local):
    """What this thread must check inside the session that MLflow opens next."""

    on_version: Callable[[Session, SqlModelVersion], None] | None = None
    on_model: Callable[[Session, SqlRegisteredModel], None] | None = None


class GatingStore(SqlAlchemyStore):
    """MLflow's SQL store with the means to decide inside its transactions."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None) -> None:
        self._pending = _Pending()
        self._marked = False
        super().__init__(db_uri, read_db_uri=read_db_uri)

    def initialize(self) -> None:
        """Make this database normgate's: from now on its models are gated."""
        mark(self.engine)

    @property
    def gated(self) -> bool:
        """Whether normgate was ever initialized in this database."""
        self._marked = self._marked or is_marked(self.engine)
        return self._marked

    @contextlib.contextmanager
    def deciding(
        self, name: str, version: str, target: str, *, protected: bool
    ) -> Iterator[None]:
        """Decide on one promotion inside the session that MLflow opens next.

        Args:
            name: The registered model.
            version: Its version.
            target: The alias or stage that is asked for.
            protected: Whether that is one which the gate decides on.

        Raises:
            MlflowException: With status 403 and every reason, if it is refused.
        """
        if not (protected and self.gated):
            yield
            return
        found = self.get_model_version(name, version)
        if self.is_prompt(name, found.source):
            yield
            return
        evidence = collect(self.get_model_version_download_uri(name, version))

        def check(session: Session, row: SqlModelVersion) -> None:
            _allow(row, target, evidence, self._contract(session, name))

        self._pending.on_version = check
        try:
            yield
        finally:
            self._pending.on_version = None

    @contextlib.contextmanager
    def rebinding(self, name: str, contract: Contract | None) -> Iterator[None]:
        """Check a new contract inside the session that MLflow opens next.

        Args:
            name: The registered model.
            contract: The contract to bind; None to take the bound one away.

        Raises:
            MlflowException: If a promoted version does not fulfil it, or if it is
                another text under the name and version of the one that is bound.
        """
        with self.ManagedSessionMaker() as session:
            promoted = self._promoted(session, name)
            stored = {row.version: str(row.storage_location) for _, row in promoted}
        evidence = {version: collect(place) for version, place in stored.items()}

        def check(session: Session, _: SqlRegisteredModel) -> None:
            _refuse_rewriting(self._contract(session, name), contract)
            for target, row in self._promoted(session, name):
                if row.version not in evidence:
                    raise refused(PROMOTED_MEANWHILE.format(name=name))
                _keeps(row, target, evidence[row.version], contract)

        self._pending.on_model = check
        try:
            yield
        finally:
            self._pending.on_model = None

    def is_prompt(self, name: str, source: str) -> bool:
        """Whether a version is one of a prompt: by its model's tag and its source."""
        if source not in _PROMPT_SOURCE_PLACEHOLDERS:
            return False
        with self.ManagedSessionMaker() as session:
            tag = self._get_registered_model_tag(session, name, IS_PROMPT_TAG_KEY)
            return tag is not None and str(tag.value).lower() == "true"

    def location(self, source: str) -> str:
        """Where the artifacts of a version's source are stored."""
        if not source.startswith("models:"):
            return source
        try:
            parsed = _parse_model_uri(source)
            if parsed.model_id is not None:
                return location_of(parsed.model_id) or source
            found = self.get_model_version_download_uri(parsed.name, parsed.version)
        except MlflowException:
            return source
        return str(found)

    def _promoted(
        self, session: Session, name: str
    ) -> list[tuple[str, SqlModelVersion]]:
        """What each protected alias and stage of a model leads to."""
        aliases = {
            alias.version: alias.alias
            for alias in self._get_registered_model(
                session, name
            ).registered_model_aliases
            if protected_alias(alias.alias)
        }
        rows = self._get_query(session, SqlModelVersion).filter_by(name=name)
        return [
            (aliases.get(row.version, row.current_stage), row)
            for row in rows
            if row.version in aliases or row.current_stage in PROTECTED_STAGES
        ]

    def _contract(self, session: Session, name: str) -> Contract | None:
        tag = self._get_registered_model_tag(session, name, reserved.CONTRACT)
        try:
            return reserved.contract_from_tag(None if tag is None else tag.value)
        except ContractError as error:
            raise refused(
                f"The contract bound to {name} can't be read: {error}. Bind it again."
            ) from error

    def _get_sql_model_version(
        self, session: Session, name: str, version: str, eager: bool = False
    ) -> SqlModelVersion:
        check, self._pending.on_version = self._pending.on_version, None
        if check is None:
            return super()._get_sql_model_version(session, name, version, eager)
        self._lock(session, name)
        row = super()._get_sql_model_version(session, name, version, eager)
        check(session, row)
        return row

    def _get_registered_model(
        self, session: Session, name: str, eager: bool = False
    ) -> SqlRegisteredModel:
        check, self._pending.on_model = self._pending.on_model, None
        if check is None:
            return super()._get_registered_model(session, name, eager)
        self._lock(session, name)
        row = super()._get_registered_model(session, name, eager)
        check(session, row)
        return row

    def _lock(self, session: Session, name: str) -> None:
        """Hold the registered model's row, by writing it unchanged, until the end.

        On SQLite this takes the database's write lock, which a SELECT would not.
        """
        stamp: Any = SqlRegisteredModel.last_updated_time
        rows = self._get_query(session, SqlRegisteredModel).filter_by(name=name)
        rows.update({stamp: stamp}, synchronize_session=False)


def _allow(
    row: SqlModelVersion, target: str, evidence: Evidence, contract: Contract | None
) -> None:
    verdict = decide(evidence, contract, _registered_digest(row))
    if not verdict.allowed:
        raise refused(
            f"Promotion of {row.name} version {row.version} to {target} refused: "
            f"{verdict.text}"
        )


def _keeps(
    row: SqlModelVersion, target: str, evidence: Evidence, contract: Contract | None
) -> None:
    held = f"{target} of {row.name} is version {row.version}"
    if contract is None:
        raise refused(
            f"{held}, which would then stand under no contract. Take {target} away "
            "first, or bind another contract instead."
        )
    verdict = decide(evidence, contract, _registered_digest(row))
    if not verdict.allowed:
        raise refused(
            f"{held}, which contract {contract.name} version {contract.version} "
            f"would not allow. Move or take away {target} first. {verdict.text}"
        )


def _refuse_rewriting(bound: Contract | None, contract: Contract | None) -> None:
    if bound is None or contract is None or bound == contract:
        return
    if (bound.name, bound.version) == (contract.name, contract.version):
        raise invalid(
            f"Contract {bound.name} version {bound.version} is bound with another "
            "text, and a contract is never rewritten. Raise its version."
        )


def _registered_digest(row: SqlModelVersion) -> str | None:
    tags = {tag.key: tag.value for tag in row.model_version_tags}
    return tags.get(reserved.DIRECTORY_DIGEST)
