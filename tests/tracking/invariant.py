"""What must hold of a registry at any time, read from its tables and from the disk.

Nothing protected stands without an allowing verdict, under the contract in force, on
bytes that a test knows to be right; and what is no longer as it was allowed is not
resolved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModelAlias,
)

from mlflow_normgate.ledger.contracts import contract_label, in_force
from mlflow_normgate.ledger.tables import PROMOTIONS, VERDICTS
from mlflow_normgate.modelfiles import directory_digest_of
from normgate.errors import TrackingError
from normgate.gate import protected_alias, protected_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    from mlflow_normgate.store import GatedStore

DELETED = "Deleted_Internal"
PLACEHOLDERS = {"dummy-source", "prompt-template"}
"""Where MLflow's client and store say that a prompt's version is."""
Key = tuple[str, str, int]
"""Model, target and version."""


def label_in_force(connection: Connection, name: str) -> str | None:
    """The contract of a model as the ledger itself says it."""
    found = in_force(connection, "default", name)
    return None if found is None else contract_label(found)


def problems(
    store: GatedStore,
    fulfilled: Mapping[str, set[str]],
    *,
    beginning: str = "",
    demanded: Callable[[Connection, str], str | None] = label_in_force,
) -> list[str]:
    """Say what does not hold; an empty list is what every test wants.

    Args:
        store: The registry.
        fulfilled: Each known location, to the contracts that what was logged there
            fulfils, as `plate version 1`. No other location may be promoted.
        beginning: Only models whose names begin so are looked at.
        demanded: Which contract a model stands under.
    """
    with store.ManagedSessionMaker() as session:
        standing = {key for key in _standing(session) if key[0].startswith(beginning)}
        rows = session.connection().execute(sa.select(PROMOTIONS)).all()
        promoted = {
            (row.name, row.target, row.version): row
            for row in rows
            if row.name.startswith(beginning)
        }
        found = [f"{key} stands unallowed" for key in standing - set(promoted)]
        found += [f"{key} is left over" for key in set(promoted) - standing]
        for key in standing & set(promoted):
            wrong = _wrong(session, promoted[key], fulfilled, demanded)
            found += [f"{key}: {one}" for one in wrong]
        held = [promoted[key] for key in standing & set(promoted)]
    return found + [
        f"{row.name}@{row.target} is resolved, though its bytes are others"
        for row in held
        if row.verdict_id is not None and _drifted(row) and _resolved(store, row)
    ]


def _standing(session: Session) -> Iterator[Key]:
    for alias in session.query(SqlRegisteredModelAlias):
        if protected_alias(alias.alias):
            yield alias.name, alias.alias, alias.version
    for version in session.query(SqlModelVersion):
        stage = version.current_stage
        if protected_stage(stage) and stage != DELETED:
            yield version.name, stage, version.version


def _wrong(
    session: Session,
    row: Any,
    fulfilled: Mapping[str, set[str]],
    demanded: Callable[[Connection, str], str | None],
) -> Iterator[str]:
    key = (row.workspace, row.name, row.version)
    version: Any = session.get(SqlModelVersion, key)
    if version is None or version.current_stage == DELETED:
        yield "its version is deleted"
        return
    location = version.storage_location or version.source
    if row.verdict_id is None:
        if location not in PLACEHOLDERS:
            yield f"a model at {location} has a prompt's promotion"
        return
    if row.location != location:
        yield f"it is at {location}, and {row.location} was allowed"
    connection = session.connection()
    query = sa.select(VERDICTS).where(VERDICTS.c.id == row.verdict_id)
    verdict = connection.execute(query).one()
    same = ("name", "target", "version", "contract_name", "contract_version")
    digests = ("directory_digest", "manifest_digest", "spec_digest")
    for field in (*same, *digests):
        if getattr(verdict, field) != getattr(row, field):
            yield f"its verdict has another {field}"
    if not verdict.allowed or verdict.refusals != "[]":
        yield "its verdict refused it"
    label = f"{row.contract_name} version {row.contract_version}"
    now = demanded(connection, row.name)
    if label != now:
        yield f"it was allowed under {label}, not under {now}"
    if label not in fulfilled.get(location, set()):
        yield f"{label} is not fulfilled by {location}"


def _drifted(row: Any) -> bool:
    try:
        served = directory_digest_of(row.location, trusted_cache=False)
    except TrackingError:
        return True
    return bool(served != row.directory_digest)


def _resolved(store: GatedStore, row: Any) -> bool:
    """Whether a client would be led to it."""
    found = []
    for resolve in (
        lambda: store.get_model_version_by_alias(row.name, row.target),
        lambda: store.get_model_version_download_uri(row.name, str(row.version)),
    ):
        try:
            resolve()
        except MlflowException:
            continue
        found.append(True)
    return bool(found)
