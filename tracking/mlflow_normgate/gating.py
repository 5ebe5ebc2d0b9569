"""How a decision gets into MLflow's own transaction.

Collect, decide, act. Evidence is collected from the bytes before any lock is taken;
the decision, its verdict in the ledger and MLflow's write share one transaction that
holds the registered model's row, so two racing promotions, or a promotion and a change
of contract, can't leave an alias that nobody allowed. A refusal is written down after
that transaction is undone. How the transaction is reached is told in `locking`.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS, IS_PROMPT_TAG_KEY
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, ErrorCode
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

from mlflow_normgate.evidence import collect, location_of
from mlflow_normgate.judging import Refused, Version, judge, settle, show
from mlflow_normgate.ledger.registrations import register
from mlflow_normgate.ledger.verdicts import Decision, record
from mlflow_normgate.locking import LockingStore
from mlflow_normgate.pace import keep_pace
from mlflow_normgate.reserved import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from normgate.gate import Evidence

_logger = logging.getLogger(__name__)

REFUSED = ErrorCode.Name(PERMISSION_DENIED)
HELD = {"key_share": True}
"""A row is held against writing, but others may still refer to it."""
CHANGED_MEANWHILE = (
    "{name} version {version} was changed while its files were being read. Try again."
)


class GatingStore(LockingStore):
    """MLflow's SQL store that decides inside MLflow's transactions."""

    @contextlib.contextmanager
    def deciding(self, name: str, version: str, target: str) -> Iterator[None]:
        """Decide on one promotion inside the session that MLflow opens next.

        Args:
            name: The registered model.
            version: Its version. One of a prompt is not judged.
            target: The protected alias or stage that is asked for.

        Raises:
            MlflowException: With status 403 and every reason, if it is refused; with
                429 if the client asks too often.
        """
        if not self.gated:
            yield
            return
        location = self.stored_at(name, version)
        evidence = None
        if not self.is_prompt(name, location):
            keep_pace()
            evidence = collect(location)

        def decide(session: Session, fetch: Callable[[], Version]) -> Any:
            self.lock(session, name)
            row = fetch()
            if location_in(row) != location:
                raise refused(CHANGED_MEANWHILE.format(name=name, version=version))
            if evidence is None:
                return row
            decision = judge(
                session, row, target=target, action="promote", evidence=evidence
            )
            if not decision.verdict.allowed:
                raise promotion_refused(decision)
            settle(session, row, decision)
            return row

        with self.writing_down(), self.inside(on_version=decide):
            yield

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

        with self.inside(on_model=listen):
            yield

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
        """Where the artifacts of a version's source are stored.

        Raises:
            MlflowException: With status 403, for a promoted version that has drifted:
                MLflow would tell a client that the server failed.
        """
        if not source.startswith("models:"):
            return source
        try:
            parsed = _parse_model_uri(source)
            if parsed.model_id is not None:
                return location_of(parsed.model_id) or source
            name, version = parsed.name or "", parsed.version or ""
            return str(self.get_model_version_download_uri(name, version))
        except MlflowException as error:
            if error.error_code == REFUSED:
                raise
            return source

    def stored_at(self, name: str, version: str) -> str:
        """Where a version's files are; nothing is verified here."""
        return str(super().get_model_version_download_uri(name, version))

    def write_down(self, decision: Decision) -> None:
        """Write a refusal to the ledger and onto its version's page."""
        with self.ManagedSessionMaker(read_only=False) as session:
            record(session.connection(), decision)
            key = (decision.workspace, decision.name, decision.version)
            # Held, or two refusals at once would add the same tags.
            row: Version = session.get(SqlModelVersion, key, with_for_update=HELD)
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
