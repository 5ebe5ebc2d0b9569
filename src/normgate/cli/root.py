"""The command itself: its groups put together, and errors told in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from normgate.cli.check import check
from normgate.cli.contracts import contract
from normgate.cli.ledger import ledger, verify
from normgate.cli.secrets import load
from normgate.cli.server import server
from normgate.cli.specs import diff, spec
from normgate.cli.sync import sync
from normgate.errors import NormgateError


class _Commands(click.Group):
    """A group that tells a user's error in one sentence and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NormgateError as error:
            click.echo(f"normgate: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Commands)
@click.version_option(package_name="normgate")
@click.option(
    "--secrets",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="NORMGATE_SECRETS",
    help="A folder of files, each named as the variable of the environment it holds.",
)
def main(secrets: Path | None) -> None:
    """Image normalization as a contract."""
    if secrets is not None:
        load(secrets)


for command in (spec, diff, check, contract, ledger, verify, server, sync):
    main.add_command(command)
