"""Train Treated against untreated APP wells, 6 channels."""

from __future__ import annotations

from typing import Any

import click
from _plate import train
from _plate_options import plate_options


@click.command()
@plate_options("app")
def main(**options: Any) -> None:
    """Train Treated against untreated APP wells, 6 channels."""
    train("train_app", "app", options)


if __name__ == "__main__":
    main()
