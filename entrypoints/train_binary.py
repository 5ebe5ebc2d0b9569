"""Train APP against WT, 6 channels: three markers at two timepoints."""

from __future__ import annotations

from typing import Any

import click
from _plate import train
from _plate_options import plate_options


@click.command()
@plate_options("binary")
def main(**options: Any) -> None:
    """Train APP against WT, 6 channels: three markers at two timepoints."""
    train("train_binary", "binary", options)


if __name__ == "__main__":
    main()
