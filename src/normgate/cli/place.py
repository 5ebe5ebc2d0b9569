"""Options that say where the registry is, shared by the commands that need it."""

from __future__ import annotations

import click

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
