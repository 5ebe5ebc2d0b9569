"""How Alembic runs the ledger's migrations: on the connection that it is handed.

Locking, the triggers and errors are `mlflow_normgate.ledger.upgrade`'s work.
"""

from __future__ import annotations

from alembic import context

from mlflow_normgate.ledger.upgrade import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
