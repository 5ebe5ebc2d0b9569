"""An audit of everything that is promoted: are the bytes still what was allowed?

Every protected alias and stage of every workspace is looked at, those too that the
gate never allowed. What drifted is written to the ledger, and, asked, demoted.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlflow.entities.model_registry.model_version_stages import (
    STAGE_ARCHIVED,
    STAGE_DELETED_INTERNAL,
)
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModelAlias,
)
from mlflow.utils.workspace_context import WorkspaceContext

from mlflow_normgate.evidence import collect
from mlflow_normgate.gating import location_in
from mlflow_normgate.judging import Version, judge
from mlflow_normgate.ledger.verdicts import promotions_of
from normgate.gate import Refusal, Verdict, protected_alias, protected_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from mlflow_normgate.ledger.verdicts import Decision
    from mlflow_normgate.store import GatedStore

NEVER_ALLOWED = Refusal(
    "never-allowed",
    "No verdict of the gate allowed it.",
    "Ask the gate for it: promote that version again.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A protected alias or stage that a version holds."""

    workspace: str
    name: str
    version: int
    target: str
    is_alias: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was found of one of them."""

    standing: Standing
    problem: str | None
    """What is wrong and what to do; None if nothing is."""
    demoted: bool = False


def standings(store: GatedStore) -> list[Standing]:
    """Every protected alias and stage that is held, in all workspaces."""
    with store.ManagedSessionMaker() as session:
        aliases = [
            Standing(
                workspace=row.workspace,
                name=row.name,
                version=row.version,
                target=row.alias,
                is_alias=True,
            )
            for row in session.query(SqlRegisteredModelAlias)
            if protected_alias(row.alias)
        ]
        stages = [
            Standing(
                workspace=row.workspace,
                name=row.name,
                version=row.version,
                target=row.current_stage,
                is_alias=False,
            )
            for row in session.query(SqlModelVersion).filter(
                SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL
            )
            if protected_stage(row.current_stage)
        ]
    return sorted(aliases + stages, key=lambda s: (s.workspace, s.name, s.target))


def verify(
    store: GatedStore, held: list[Standing], *, demote: bool = False
) -> Iterator[Audited]:
    """Look at what is promoted, one after the other.

    Args:
        store: The registry.
        held: What to look at; see `standings`. A prompt's is passed over.
        demote: Take the alias or stage away from what is not as it was allowed. What
            can't be read keeps it, for the store may only be away; nobody can resolve
            it meanwhile.
    """
    for standing in held:
        with _inside(store, standing.workspace):
            found = _examine(store, standing)
            if found is None:
                continue
            if found.verdict.allowed:
                yield Audited(standing=standing, problem=None)
                continue
            store.write_down(found)
            yield Audited(
                standing=standing,
                problem=found.verdict.text,
                demoted=demote and _is_read(found) and _demote(store, standing),
            )


def _examine(store: GatedStore, standing: Standing) -> Decision | None:
    key = (standing.workspace, standing.name, standing.version)
    with store.ManagedSessionMaker() as session:
        row: Version = session.get(SqlModelVersion, key)
        source = None if row is None else row.source
        location = "" if row is None else location_in(row)
    if source is not None and store.is_prompt(standing.name, source):
        return None
    evidence = collect(location)
    with store.ManagedSessionMaker() as session:
        row = session.get(SqlModelVersion, key) or _missing(standing)
        decision = judge(
            session, row, target=standing.target, action="verify", evidence=evidence
        )
        if _promoted(session, standing):
            return decision
    refusals = (*decision.verdict.refusals, NEVER_ALLOWED)
    return replace(decision, verdict=Verdict(refusals))


def _is_read(found: Decision) -> bool:
    """Whether no model stands behind it, or one whose files could be read."""
    evidence = found.evidence
    return evidence.model_id is None or evidence.directory_digest is not None


def _missing(standing: Standing) -> Version:
    """A row for a version that an alias names and that does not exist."""
    return SqlModelVersion(
        workspace=standing.workspace, name=standing.name, version=standing.version
    )


def _promoted(session: Session, standing: Standing) -> bool:
    held = promotions_of(
        session.connection(), standing.workspace, standing.name, standing.version
    )
    return any(one.target == standing.target for one in held)


def _demote(store: GatedStore, standing: Standing) -> bool:
    """Take an alias or stage away, unless it was moved while the files were read."""
    key = {
        "workspace": standing.workspace,
        "name": standing.name,
        "version": standing.version,
    }
    with store.ManagedSessionMaker(read_only=False) as session:
        store.lock(session, standing.name)
        if standing.is_alias:
            aliases = session.query(SqlRegisteredModelAlias)
            return bool(aliases.filter_by(alias=standing.target, **key).delete())
        versions = session.query(SqlModelVersion)
        held = versions.filter_by(current_stage=standing.target, **key)
        return bool(held.update({"current_stage": STAGE_ARCHIVED}))


@contextlib.contextmanager
def _inside(store: GatedStore, workspace: str) -> Iterator[None]:
    if not store.supports_workspaces:
        yield
        return
    with WorkspaceContext(workspace):
        yield
