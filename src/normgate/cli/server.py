"""`normgate server`: MLflow's own server behind the gate."""

from __future__ import annotations

import click

from normgate.cli.place import artifacts_option, store_option

SHOWN = 5
"""Names of experiments in a warning at most."""


@click.command(context_settings={"ignore_unknown_options": True})
@store_option
@artifacts_option
@click.argument(
    "options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF MLFLOW]"
)
def server(store: str | None, artifacts: str | None, options: tuple[str, ...]) -> None:
    """Start MLflow's tracking server with the gate and sealed artifacts.

    By default with sqlite:///mlflow.db and ./mlartifacts of the working folder, on
    127.0.0.1 port 5000. OPTIONS are those of `mlflow server`, such as --host, --port,
    --workers, --allowed-hosts, --app-name basic-auth or --enable-workspaces; what would
    open a way around the gate is refused.
    """
    # MLflow takes seconds to import, and other commands don't need it.
    from mlflow_normgate.readiness import prepare
    from mlflow_normgate.server import become, plan
    from mlflow_normgate.storage import shown

    launch = plan(store, artifacts, options)
    outside = prepare(launch)
    click.echo(
        f"normgate: the registry is {shown(launch.database)}, artifacts are sealed in "
        f"{launch.artifacts}",
        err=True,
    )
    if outside:
        more = ", ..." if outside[SHOWN:] else ""
        click.echo(
            "normgate: models of these experiments are kept elsewhere, where they are "
            f"not sealed but only hashed again: {', '.join(outside[:SHOWN])}{more}",
            err=True,
        )
    become(launch)
