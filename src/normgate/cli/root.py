"""The command itself: its groups put together, and errors told in one sentence."""

from __future__ import annotations

import sys
from typing import Any

import click

from normgate.cli.contracts import contract
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
def main() -> None:
    """Image normalization as a contract."""


for command in (spec, diff, contract, sync):
    main.add_command(command)
