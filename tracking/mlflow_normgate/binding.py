"""Changes of what is demanded: contracts bound, released, and models renamed.

Each is decided like a promotion: every version that is promoted under the old demand
must be allowed under the new one, or nothing changes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModel,
    SqlRegisteredModelTag,
)

from mlflow_normgate import reserved
from mlflow_normgate.actor import actor
from mlflow_normgate.evidence import collect
from mlflow_normgate.gating import GatingStore, promotion_refused
from mlflow_normgate.judging import AMBIGUOUS, Refused, Version, judge, settle
from mlflow_normgate.ledger import contracts, registrations
from mlflow_normgate.ledger.contracts import (
    Act,
    contract_label,
    fits,
    in_force,
    is_pattern,
)
from mlflow_normgate.ledger.verdicts import freeze, promotions, record
from mlflow_normgate.pace import keep_pace
from mlflow_normgate.reserved import invalid, refused
from normgate.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from mlflow_normgate.ledger.verdicts import Decision
    from normgate.contract import Contract
    from normgate.gate import Evidence

PROMOTED_MEANWHILE = (
    "Another promotion of {name} went ahead while what is promoted was being checked. "
    "Try again."
)
CARRIED_TO_A_PATTERN = (
    "The contract of {name} goes along with it, and {new!r} would stand for other "
    "names too. Choose a name without * and ?, or release {name} first."
)

Found = dict[tuple[str, int, str], "Evidence"]
"""Name, version and location of a promoted version, to what is found there now."""


class BindingStore(GatingStore):
    """The gating store, where what is demanded can be changed."""

    def add_contract(self, contract: Contract, reason: str) -> None:
        """Add a contract to the ledger without binding it.

        Raises:
            MlflowException: With status 400, if it would rewrite another.
        """
        act = self._act(reason)
        self.initialize()
        with self.ManagedSessionMaker(read_only=False) as session, _invalid():
            self.lock_ledger(session)
            contracts.add(session.connection(), act, contract)

    def bind_contract(
        self, pattern: str, contract: Contract | None, reason: str
    ) -> None:
        """Bind a contract to a model's exact name or a pattern, or release it.

        Args:
            pattern: The name; `*` and `?` stand for others.
            contract: What promoted versions must fulfil; None to release the pattern.
            reason: Why, for whoever asks later.

        Raises:
            MlflowException: With status 403, if a promoted version does not fulfil it;
                with 400, if it would rewrite another contract.
        """
        act = self._act(reason)
        self.initialize()

        def reached(name: str) -> bool:
            return fits(pattern, name)

        evidence = self._evidence(reached)
        with (
            self.writing_down(),
            self.ManagedSessionMaker(read_only=False) as session,
        ):
            self.lock_ledger(session)
            with _invalid():
                contracts.bind(session.connection(), act, pattern, contract)
            for row, target, found in self._promoted(session, reached, evidence):
                decision = judge(
                    session, row, target=target, action="bind", evidence=found
                )
                if not decision.verdict.allowed:
                    raise _would_break(decision)
                settle(session, row, decision)
            self._label_all(session, reached)

    @contextlib.contextmanager
    def renaming(self, name: str, new_name: str) -> Iterator[None]:
        """Decide on a model's promotions again inside the session that MLflow opens.

        A contract that is bound to the exact old name goes along, unless the new name
        stands under one already.

        Raises:
            MlflowException: With status 403, if a promoted version may not stay so.
        """
        if not self.gated or new_name == name:
            yield
            return

        def renamed(held: str) -> bool:
            return held == name

        evidence = self._evidence(renamed)

        def decide(session: Session, fetch: Callable[[], Any]) -> Any:
            self.lock(session, name, alone=True)
            model = fetch()
            if self._taken(session, new_name):
                return model  # MLflow refuses it.
            self._carry(session, name, new_name)
            for row, target, found in self._promoted(session, renamed, evidence):
                decision = judge(
                    session,
                    row,
                    target=target,
                    action="rename",
                    evidence=found,
                    name=new_name,
                )
                if not decision.verdict.allowed:
                    raise promotion_refused(decision)
                connection = session.connection()
                number = record(connection, decision)
                freeze(connection, decision, row.storage_location, number)
            return model

        with self.writing_down(), self.inside(on_model=decide):
            yield

    def _taken(self, session: Session, name: str) -> bool:
        key = (self._get_active_workspace(), name)
        return session.get(SqlRegisteredModel, key) is not None

    def _carry(self, session: Session, name: str, new_name: str) -> None:
        """Let evidence, and a contract of the exact name, follow a renamed model."""
        connection, workspace = session.connection(), self._get_active_workspace()
        registrations.rename(connection, workspace, name, new_name)
        patterns = {
            bound.pattern for bound in contracts.bindings(connection, workspace)
        }
        if any(fits(one, new_name) for one in patterns) or is_pattern(name):
            return
        if name in patterns:
            if is_pattern(new_name):
                raise refused(CARRIED_TO_A_PATTERN.format(name=name, new=new_name))
            bound = in_force(connection, workspace, name)
            act = self._act(f"renamed from {name}")
            contracts.bind(connection, act, new_name, bound)

    def _act(self, reason: str) -> Act:
        with _invalid():
            workspace = self._get_active_workspace()
            return Act(workspace=workspace, actor=actor(), reason=reason)

    def _evidence(self, reached: Callable[[str], bool]) -> Found:
        """Collect the evidence on what is promoted, before any lock is taken."""
        keep_pace()
        with self.ManagedSessionMaker() as session:
            workspace = self._get_active_workspace()
            keys = {
                (held.name, held.version, held.location)
                for held in promotions(session.connection(), workspace)
                if reached(held.name)
            }
        return {key: collect(key[2]) for key in keys}

    def _promoted(
        self, session: Session, reached: Callable[[str], bool], evidence: Found
    ) -> Iterator[tuple[Version, str, Evidence]]:
        """Each promoted version, its target, and what was found in it."""
        workspace = self._get_active_workspace()
        for held in promotions(session.connection(), workspace):
            if not reached(held.name):
                continue
            found = evidence.get((held.name, held.version, held.location))
            row: Version = session.get(
                SqlModelVersion, (workspace, held.name, held.version)
            )
            if found is None or row is None:
                raise refused(PROMOTED_MEANWHILE.format(name=held.name))
            yield row, held.target, found

    def _label_all(self, session: Session, reached: Callable[[str], bool]) -> None:
        names = self._get_query(session, SqlRegisteredModel).with_entities(
            SqlRegisteredModel.name
        )
        for (name,) in names:
            prompt = self._get_registered_model_tag(session, name, IS_PROMPT_TAG_KEY)
            if reached(name) and prompt is None:
                self.label(session, name)

    def demanded(self, name: str) -> Contract | None:
        """The contract in force for a model, where one alone is; only to be shown."""
        with self.ManagedSessionMaker() as session, contextlib.suppress(ContractError):
            workspace = self._get_active_workspace()
            return in_force(session.connection(), workspace, name)
        return None

    def label(self, session: Session, name: str) -> None:
        """Show the contract in force on a registered model's page."""
        workspace = self._get_active_workspace()
        try:
            bound = in_force(session.connection(), workspace, name)
            text = None if bound is None else contract_label(bound)
        except ContractError as error:
            text = str(error)
        shown = self._get_registered_model_tag(session, name, reserved.CONTRACT)
        if text is not None:
            session.merge(
                SqlRegisteredModelTag(
                    workspace=workspace, name=name, key=reserved.CONTRACT, value=text
                )
            )
        elif shown is not None:
            session.delete(shown)


def _would_break(decision: Decision) -> Refused:
    held = f"{decision.target} of {decision.name} is version {decision.version}"
    if decision.contract is not None:
        label = contract_label(decision.contract)
        return Refused(
            decision,
            f"{held}, which contract {label} would not allow. Move or take away "
            f"{decision.target} first. {decision.verdict.text}",
        )
    if AMBIGUOUS in decision.verdict.codes:
        return Refused(decision, f"{held}. {decision.verdict.text}")
    return Refused(
        decision,
        f"{held}, which would then stand under no contract. Take {decision.target} "
        "away first, or bind another contract instead.",
    )


@contextlib.contextmanager
def _invalid() -> Iterator[None]:
    """Tell a client what is wrong with a contract, with status 400."""
    try:
        yield
    except ContractError as error:
        raise invalid(str(error)) from error
