"""Where normgate gets into MLflow's own transactions, and what it holds in them.

MLflow's writes call `_get_sql_model_version` or `_get_registered_model` first thing in
their session: what is to be done there is left for them to find. Locks are taken in one
order, so that nobody waits in a circle: the ledger, the registered model, then whatever
hangs on it. What is decided under them is told in `gating`.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from mlflow_normgate.ledger import upgrade
from mlflow_normgate.ledger.tables import GATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from sqlalchemy.orm import Session

    Work = Callable[[Session, Callable[[], Any]], Any]


class _Pending(threading.local):
    """What this thread must do inside the session that MLflow opens next."""

    on_version: Work | None = None
    on_model: Work | None = None


class LockingStore(SqlAlchemyStore):
    """MLflow's SQL store with a way into its transactions."""

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
    def inside(
        self, *, on_version: Work | None = None, on_model: Work | None = None
    ) -> Iterator[None]:
        """Leave something to be done inside the session that MLflow opens next.

        Args:
            on_version: Done where MLflow fetches a version first; it is given the
                session and how to fetch, and gives what was fetched.
            on_model: The same, where MLflow fetches a registered model first.
        """
        self._pending.on_version, self._pending.on_model = on_version, on_model
        try:
            yield
        finally:
            self._pending.on_version = self._pending.on_model = None

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Take an alias, a stage, a version or a model away as decisions are made.

        Without their locks a decision at the same moment could write a promotion for
        what is just going, or each could wait for the other.
        """
        if not self.gated:
            yield
            return

        def hold(session: Session, fetch: Callable[[], Any]) -> Any:
            self.lock(session, name)
            return fetch()

        with self.inside(on_version=hold, on_model=hold):
            yield

    def lock(self, session: Session, name: str, *, alone: bool = False) -> None:
        """Hold the ledger and one registered model until the transaction ends.

        Args:
            session: MLflow's. What it has changed so far is not written before.
            name: The registered model.
            alone: Hold the ledger as `lock_ledger` does for a change of contracts.
        """
        with session.no_autoflush:
            self.lock_ledger(session, shared=not alone)
            self._lock_model(session, name)

    def lock_ledger(self, session: Session, *, shared: bool = False) -> None:
        """Hold the ledger until the transaction ends.

        Promotions share it; a change of contracts, which may reach models that are
        made meanwhile, has it alone. On SQLite one writer has the whole database.
        """
        if shared:
            session.execute(sa.select(GATE.c.id).with_for_update(read=True))
        else:
            session.execute(GATE.update().values(since_ms=GATE.c.since_ms))

    def _lock_model(self, session: Session, name: str) -> None:
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
