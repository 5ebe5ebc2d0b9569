"""Evidence in the ledger: what the bytes of a version were when it was registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.utils.time import get_current_time_millis

from mlflow_normgate.ledger.tables import EVIDENCE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from normgate.gate import Evidence


def register(
    connection: Connection,
    key: tuple[str, str, int],
    location: str | None,
    evidence: Evidence,
) -> None:
    """Write what was found in a version that is being registered.

    Args:
        connection: Inside the transaction that makes the version.
        key: Its workspace, name and number. A number is used again where a registered
            model was deleted whole and made anew; the evidence is the new one's.
        location: Where its files are.
        evidence: What was found in them.
    """
    workspace, name, version = key
    connection.execute(EVIDENCE.delete().where(_is(key)))
    connection.execute(
        EVIDENCE.insert().values(
            workspace=workspace,
            name=name,
            version=version,
            location=location,
            model_id=evidence.model_id,
            directory_digest=evidence.directory_digest,
            manifest_digest=evidence.manifest_digest,
            spec_digest=evidence.spec_digest,
            collected_ms=get_current_time_millis(),
        )
    )


def registered_digest(
    connection: Connection, key: tuple[str, str, int], location: str | None
) -> str | None:
    """The directory digest recorded for a version at its location, if there is one."""
    query = sa.select(EVIDENCE.c.directory_digest).where(
        _is(key), EVIDENCE.c.location == location
    )
    return connection.execute(query).scalar_one_or_none()


def rename(connection: Connection, workspace: str, name: str, new_name: str) -> None:
    """Let a model's evidence follow it to its new name."""
    table = EVIDENCE.c
    connection.execute(
        EVIDENCE.delete().where(table.workspace == workspace, table.name == new_name)
    )
    connection.execute(
        EVIDENCE.update()
        .where(table.workspace == workspace, table.name == name)
        .values(name=new_name)
    )


def _is(key: tuple[str, str, int]) -> sa.ColumnElement[bool]:
    workspace, name, version = key
    table = EVIDENCE.c
    return sa.and_(
        table.workspace == workspace, table.name == name, table.version == version
    )
