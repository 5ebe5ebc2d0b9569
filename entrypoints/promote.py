"""Ask the gate for an alias on a version, and print the verdict."""

from __future__ import annotations

from pathlib import Path

import click

from mlflow_normgate.entry import run_entry
from mlflow_normgate.registry import (
    CHAMPION,
    bind_contract,
    bound_contract,
    newest_version,
    promote,
)
from normgate.contract import read_contract


@click.command()
@click.option("--model", required=True, help="The registered model, as rescue-0ms.")
@click.option("--version", default="", help="Its version; the newest by default.")
@click.option("--alias", default=CHAMPION, help="The alias to set.")
@click.option("--contract", default="", help="A contract file, if none is bound yet.")
def main(model: str, version: str, alias: str, contract: str) -> None:
    """Ask the gate for an alias on a version, and print the verdict."""
    with run_entry("promote", click.get_current_context().params) as run:
        number = version or newest_version(model)
        if contract and bound_contract(model) is None:
            reason = f"given to promote version {number}"
            bind_contract(model, read_contract(Path(contract)), reason)
            click.echo(f"{model}: bound to {contract}")
        promote(model, number, alias)
        run.tracker.tags({"promoted": f"{model} version {number} to {alias}"})
        click.echo(f"{model} version {number} is allowed and is now {alias}.")
        click.echo(f"Deploy it as models:/{model}@{alias}.")


if __name__ == "__main__":
    main()
