"""How a decision gets into MLflow's own transaction.

Collect, decide, act. Evidence is collected from the bytes before any lock is taken;
the decision, its verdict in the ledger and MLflow's write share one transaction that
holds the registered model's row, so two racing promotions, or a promotion and a change
of contract, can't leave an alias that nobody allowed. MLflow's writes call
`_get_sql_model_version` or `_get_registered_model` first thing in their session: that
is where it is decided. A refusal is written down after that transaction is undone.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS, IS_PROMPT_TAG_KEY
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from mlflow_normgate.evidence import collect, location_of
from mlflow_normgate.judging import Refused, Version, judge, settle, show
from mlflow_normgate.ledger import upgrade
from mlflow_normgate.ledger.registrations import register
from mlflow_normgate.ledger.tables import GATE
from mlflow_normgate.ledger.verdicts import Decision, record
from mlflow_normgate.reserved import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from normgate.gate import Evidence

_logger = logging.getLogger(__name__)

CHANGED_MEANWHILE = (
    "{name} version {version} was changed while its files were being read. Try again."
)


class _Pending(threading.local):
    """What this thread must do inside the session that MLflow opens next."""

    on_version: Callable[[Session, Callable[[], Any]], Any] | None = None
    on_model: Callable[[Session, Callable[[], Any]], Any] | None = None


class GatingStore(SqlAlchemyStore):
    """MLflow's SQL store with the means to decide inside its transactions."""

    def __init__(self, db_uri: str, read_db_uri: str | None = None) -> None:
        self._pending = _Pending()
        self._gated = False
        super().__init__(db_uri, read_db_uri=read_db_uri)
        if self.gated:
            upgrade.check(self.engine)

    def initialize(self) -> None:
        """Make this database normgate's: from now on its models are gated."""
        if not self.gated:
            upgrade.initialize(self.engine)

    @property
    def gated(self) -> bool:
        """Whether normgate was ever initialized in this database."""
        self._gated = self._gated or upgrade.is_gated(self.engine)
        return self._gated

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
        location = self.stored_at(name, version)
        evidence = collect(location)

        def decide(session: Session, fetch: Callable[[], Version]) -> Any:
            self.lock_ledger(session, shared=True)
            self.lock_model(session, name)
            row = fetch()
            if location_in(row) != location:
                raise refused(CHANGED_MEANWHILE.format(name=name, version=version))
            decision = judge(
                session, row, target=target, action="promote", evidence=evidence
            )
            if not decision.verdict.allowed:
                raise promotion_refused(decision)
            settle(session, row, decision)
            return row

        with self.writing_down():
            self._pending.on_version = decide
            try:
                yield
            finally:
                self._pending.on_version = None

    @contextlib.contextmanager
    def registering(self, evidence: Evidence) -> Iterator[None]:
        """Write evidence together with the version that MLflow makes next."""

        def write(session: Session, _: object) -> None:
            made: list[Version] = [
                row for row in session.new if isinstance(row, SqlModelVersion)
            ]
            for row in made:
                key = (row.workspace, row.name, row.version)
                register(session.connection(), key, row.storage_location, evidence)

        def listen(session: Session, fetch: Callable[[], Any]) -> Any:
            # MLflow tries again in this session when another took the number.
            sa.event.listen(session, "after_flush", write)
            return fetch()

        self._pending.on_model = listen
        try:
            yield
        finally:
            self._pending.on_model = None

    @contextlib.contextmanager
    def writing_down(self) -> Iterator[None]:
        """Write down a refusal, when the transaction that it undid is over."""
        try:
            yield
        except Refused as error:
            try:
                self.write_down(error.decision)
            except MlflowException:
                _logger.exception("a refusal could not be written to the ledger")
            raise

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
            return self.stored_at(parsed.name or "", parsed.version or "")
        except MlflowException:
            return source

    def stored_at(self, name: str, version: str) -> str:
        """Where a version's files are; nothing is verified here."""
        return str(super().get_model_version_download_uri(name, version))

    def lock_ledger(self, session: Session, *, shared: bool = False) -> None:
        """Hold the ledger until the transaction ends.

        Promotions share it; a change of contracts, which may reach models that are
        made meanwhile, has it alone. On SQLite one writer has the whole database.
        """
        if shared:
            session.execute(sa.select(GATE.c.id).with_for_update(read=True))
        else:
            session.execute(GATE.update().values(since_ms=GATE.c.since_ms))

    def lock_model(self, session: Session, name: str) -> None:
        """Hold the registered model's row, by writing it unchanged, until the end.

        On SQLite this takes the database's write lock, which a SELECT would not.
        """
        stamp: Any = SqlRegisteredModel.last_updated_time
        rows = self._get_query(session, SqlRegisteredModel).filter_by(name=name)
        rows.update({stamp: stamp}, synchronize_session=False)

    def _get_sql_model_version(
        self, session: Session, name: str, version: str, eager: bool = False
    ) -> SqlModelVersion:
        fetch = functools.partial(
            super()._get_sql_model_version, session, name, version, eager
        )
        work, self._pending.on_version = self._pending.on_version, None
        return fetch() if work is None else work(session, fetch)

    def _get_registered_model(
        self, session: Session, name: str, eager: bool = False
    ) -> SqlRegisteredModel:
        fetch = functools.partial(super()._get_registered_model, session, name, eager)
        work, self._pending.on_model = self._pending.on_model, None
        return fetch() if work is None else work(session, fetch)

    def write_down(self, decision: Decision) -> None:
        """Write a refusal to the ledger and onto its version's page."""
        with self.ManagedSessionMaker(read_only=False) as session:
            record(session.connection(), decision)
            key = (decision.workspace, decision.name, decision.version)
            row: Version = session.get(SqlModelVersion, key)
            if row is not None:
                show(session, row, decision)


def location_in(row: Version) -> str:
    """Where a version's files are, as MLflow resolves it."""
    return str(row.storage_location or row.source)


def promotion_refused(decision: Decision) -> Refused:
    """The refusal of one promotion, as a person reads it in a dialog."""
    return Refused(
        decision,
        f"Promotion of {decision.name} version {decision.version} to "
        f"{decision.target} refused: {decision.verdict.text}",
    )
