"""Where the registry is: the options that say so, and opening it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mlflow_normgate.admin import Administration

store_option = click.option(
    "--store",
    metavar="URI",
    envvar="NORMGATE_STORE",
    help="The registry's database, e.g. postgresql://user@host/name.",
)
artifacts_option = click.option(
    "--artifacts",
    metavar="URI",
    envvar="NORMGATE_ARTIFACTS",
    help="The server's artifact store, e.g. s3://bucket/folder.",
)
workspace_option = click.option(
    "--workspace", help="Of this workspace, where a server has several."
)
reason_option = click.option("--reason", required=True, help="Why, for the record.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def administration(
    store: str | None, artifacts: str | None = None, workspace: str | None = None
) -> Administration:
    """Open the registry's database for an administrator.

    Raises:
        NormgateError: In one sentence, if that can't be done from here.
    """
    # MLflow takes seconds to import, and not every command needs it.
    from mlflow_normgate.admin import Administration
    from mlflow_normgate.storage import enter, registry, stand_in

    uri = registry(store)
    enter(uri, workspace)
    stand_in(uri, artifacts)
    return Administration(uri)


def moment(milliseconds: int) -> str:
    """A time of the ledger, in UTC and to the second."""
    then = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")
