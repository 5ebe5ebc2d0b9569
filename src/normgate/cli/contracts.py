"""`normgate contract`: make contracts, read them, bind them to registered models."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from normgate.contract import (
    Floor,
    contract_for,
    describe_channel,
    read_contract,
    read_spec,
    write,
)
from normgate.errors import SettingsError

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def contract() -> None:
    """Make contracts and read them."""


@contract.command("make")
@click.argument("path", type=FILE)
@click.option("--name", required=True, help="The contract's name.")
@click.option("--version", type=int, default=1, show_default=True)
@click.option("--description", default="", help="What the target is.")
@click.option("--floor", "floors", multiple=True, help="METRIC=MINIMUM, repeatable.")
@click.option("--out", type=FILE, required=True, help="The contract file to write.")
def contract_make(
    path: Path,
    name: str,
    version: int,
    description: str,
    floors: tuple[str, ...],
    out: Path,
) -> None:
    """Make the contract that a spec fulfils."""
    document = contract_for(
        read_spec(path),
        name=name,
        version=version,
        description=description,
        floors=tuple(_floor(text) for text in floors),
    )
    write(out, document)
    click.echo(f"{out}: contract {document.name} version {document.version}")


@contract.command("show")
@click.argument("path", type=FILE)
def contract_show(path: Path) -> None:
    """Say what a contract demands."""
    document = read_contract(path)
    click.echo(f"contract {document.name} version {document.version}")
    for channel in document.channels:
        click.echo(f"{channel.name}  {channel.digest}\n  {describe_channel(channel)}")
    for floor in document.floors:
        click.echo(f"{floor.metric} at least {floor.minimum}")


@contract.command("bind")
@click.argument("model")
@click.argument("path", type=FILE)
@click.option("--reason", required=True, help="Why, for the record.")
def contract_bind(model: str, path: Path, reason: str) -> None:
    """Bind a contract to a registered model of the tracking server."""
    # MLflow takes seconds to import, and only this needs it.
    from mlflow_normgate.registry import bind_contract

    bind_contract(model, read_contract(path), reason=reason)
    click.echo(f"{model}: bound to {path}")


def _floor(text: str) -> Floor:
    metric, _, minimum = text.partition("=")
    try:
        return Floor(metric=metric, minimum=Decimal(minimum))
    except (ArithmeticError, ValueError) as error:
        raise SettingsError(f"--floor {text}: expected METRIC=NUMBER") from error
