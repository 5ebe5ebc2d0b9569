"""What the triggers would have written, for the time when there were none.

A database has prompts when normgate is initialized in it, and MLflow's migrations may
drop the triggers for a while. Nothing here allows a model's promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlRegisteredModelAlias,
)

from mlflow_normgate.ledger.rules import PLACEHOLDERS, PROTECTED_STAGES
from mlflow_normgate.ledger.tables import EVIDENCE, PROMOTIONS, PROMPTS
from normgate.gate import OPEN_ALIASES

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

ALIASES = sa.inspect(SqlRegisteredModelAlias).local_table
VERSIONS = sa.inspect(SqlModelVersion).local_table


def reconcile(connection: Connection) -> None:
    """Bring promotions and prompts up to what MLflow's tables hold now."""
    here = sa.func.coalesce(
        sa.func.nullif(VERSIONS.c.storage_location, ""), VERSIONS.c.source
    )
    prompt = _same(VERSIONS, PROMPTS) & here.in_(PLACEHOLDERS)
    connection.execute(PROMPTS.delete().where(~sa.exists().where(prompt)))
    key = [VERSIONS.c[column.name] for column in PROMPTS.columns]
    made = sa.select(*key).where(
        here.in_(PLACEHOLDERS), ~sa.exists().where(_same(VERSIONS, PROMPTS))
    )
    connection.execute(PROMPTS.insert().from_select(list(PROMPTS.columns), made))
    _end_what_holds_no_more(connection)
    _hold_prompts(connection)


def _end_what_holds_no_more(connection: Connection) -> None:
    target = PROMOTIONS.c.target
    staged = _same(VERSIONS, PROMOTIONS) & (VERSIONS.c.current_stage == target)
    aliased = _same(ALIASES, PROMOTIONS) & (ALIASES.c.alias == target)
    connection.execute(
        PROMOTIONS.delete().where(
            sa.case(
                (target.in_(PROTECTED_STAGES), ~sa.exists().where(staged)),
                else_=~sa.exists().where(aliased),
            )
        )
    )


def _hold_prompts(connection: Connection) -> None:
    """What the triggers write for a protected alias on a prompt's version."""
    key = [ALIASES.c[name] for name in ("workspace", "name", "alias", "version")]
    held = _same(ALIASES, PROMOTIONS) & (ALIASES.c.alias == PROMOTIONS.c.target)
    missing = sa.select(*key).where(
        ALIASES.c.alias.not_in({*OPEN_ALIASES, *PROTECTED_STAGES}),
        sa.exists().where(_same(ALIASES, PROMPTS)),
        ~sa.exists().where(_same(ALIASES, EVIDENCE)),
        ~sa.exists().where(held),
    )
    columns = ["workspace", "name", "target", "version"]
    connection.execute(PROMOTIONS.insert().from_select(columns, missing))


def _same(one: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
    """Rows of the same version."""
    return sa.and_(
        *(one.c[name] == other.c[name] for name in ("workspace", "name", "version"))
    )
