"""`normgate sync`: send what runs could not send."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def sync(folder: Path) -> None:
    """Send what runs could not send while the tracking server was away."""
    from mlflow_normgate.sync import sync_folder

    waiting = 0
    for result in sync_folder(folder):
        waiting += result.waiting
        problem = f" ({result.problem})" if result.problem else ""
        click.echo(
            f"{result.folder}: {result.sent} sent, {result.waiting} waiting, "
            f"{result.refused} refused{problem}"
        )
    sys.exit(1 if waiting else 0)
