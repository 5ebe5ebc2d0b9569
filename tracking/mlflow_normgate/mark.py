"""The mark by which a database belongs to normgate.

A database that normgate was never initialized in behaves as plain MLflow, even where
normgate is installed. It is initialized, once and for good, by the first of: opening
it with a `normgate+` scheme, binding a contract, registering a bundle. The mark is a
table of its own, which MLflow's own migrations leave alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from mlflow.utils.time import get_current_time_millis
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

MARK = sa.Table(
    "normgate_gate",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)


def is_marked(engine: Engine) -> bool:
    """Whether normgate was ever initialized in a database."""
    return sa.inspect(engine).has_table(MARK.name)


def mark(engine: Engine) -> None:
    """Initialize normgate in a database; doing so again changes nothing."""
    if is_marked(engine):
        return
    try:
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateTable(MARK))
            since = get_current_time_millis()
            connection.execute(MARK.insert().values(id=1, since_ms=since))
    except (IntegrityError, OperationalError, ProgrammingError):
        # Another process was quicker; anything else is still an error.
        if not is_marked(engine):
            raise
