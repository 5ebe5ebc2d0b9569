"""The administrator's side of the ledger, where the registry's database is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.exceptions import MlflowException

from mlflow_normgate.audit import standings, verify
from mlflow_normgate.ledger import contracts, verdicts
from mlflow_normgate.ledger.tables import PROMOTIONS
from mlflow_normgate.storage import stands_in
from mlflow_normgate.store import SCHEME, build
from normgate.errors import ContractError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_normgate.audit import Audited
    from mlflow_normgate.ledger.contracts import Bound, Stated
    from mlflow_normgate.ledger.verdicts import Decided
    from normgate.contract import Contract

DATABASES = ("sqlite:", "postgresql:", "postgresql+")


class Administration:
    """Contracts, bindings and verdicts of one registry.

    Args:
        uri: The registry's database, as `sqlite:///mlflow.db` or `postgresql://...`;
            it is initialized for normgate by the first change.

    Raises:
        TrackingError: If it is no database of a registry, or can't be opened.
    """

    def __init__(self, uri: str) -> None:
        if not uri.removeprefix(SCHEME).startswith(DATABASES):
            raise TrackingError(
                f"{uri}: the ledger is in the registry's database; name that database "
                "with --store, as sqlite:///mlflow.db or postgresql://..., or run this "
                "where the server runs"
            )
        try:
            self._store = build(uri)
        except MlflowException as error:
            raise TrackingError(f"the registry can't be opened: {error}") from error
        self._workspace = self._store._get_active_workspace()

    def add(self, contract: Contract, reason: str) -> None:
        """Add a contract without binding it.

        Raises:
            ContractError: If it would rewrite another, or there is no reason.
        """
        try:
            self._store.add_contract(contract, reason)
        except MlflowException as error:
            raise ContractError(str(error.message)) from error

    def bind(self, pattern: str, contract: Contract | None, reason: str) -> None:
        """Bind a contract to a model's exact name or a pattern, or release it.

        Raises:
            ContractError: If a promoted version does not fulfil it, and see `add`.
        """
        try:
            self._store.bind_contract(pattern, contract, reason)
        except MlflowException as error:
            raise ContractError(str(error.message)) from error

    def contracts(self) -> list[Stated]:
        """Every contract, in order of name and version."""
        if not self._store.gated:
            return []
        with self._store.ManagedSessionMaker() as session:
            return contracts.contracts(session.connection(), self._workspace)

    def bindings(self) -> list[Bound]:
        """The bindings that are in force, in order of their patterns."""
        if not self._store.gated:
            return []
        with self._store.ManagedSessionMaker() as session:
            return contracts.bindings(session.connection(), self._workspace)

    def verdicts(
        self,
        model: str | None = None,
        *,
        refused: bool = False,
        limit: int | None = None,
    ) -> Iterator[Decided]:
        """Verdicts, the newest first; see `ledger.verdicts.verdicts`."""
        if not self._store.gated:
            return
        with self._store.ManagedSessionMaker() as session:
            yield from verdicts.verdicts(
                session.connection(),
                self._workspace,
                name=model,
                refused=refused,
                limit=limit,
            )

    def verify(self, *, demote: bool = False) -> Iterator[Audited]:
        """Look at everything that is promoted, in all workspaces; see `audit`.

        Raises:
            TrackingError: If nothing was ever gated there, or the promoted files can't
                be read from here at all, which would look as if all were gone.
        """
        if not self._store.gated:
            raise TrackingError(
                "nothing was ever gated in this database: start `normgate server` on "
                "it, or run `normgate ledger upgrade`"
            )
        with self._store.ManagedSessionMaker() as session:
            proxied = sa.select(PROMOTIONS.c.name).where(
                PROMOTIONS.c.location.like("mlflow-artifacts:%")
            )
            served = session.execute(proxied).first() is not None
        if served and not stands_in():
            raise TrackingError(
                "the promoted files are in the server's artifact store; name it with "
                "--artifacts"
            )
        yield from verify(self._store, standings(self._store), demote=demote)
