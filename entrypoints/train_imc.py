"""Train autoencoders of imaging mass cytometry, on grids of nodes."""

from __future__ import annotations

from typing import Any

import click
from _imc import train
from _imc_options import imc_options


@click.command()
@imc_options
def main(**options: Any) -> None:
    """Train autoencoders of imaging mass cytometry, on grids of nodes."""
    train(options)


if __name__ == "__main__":
    main()
