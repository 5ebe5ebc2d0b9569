"""Train APP against WT, 3 channels: one model for each timepoint."""

from __future__ import annotations

from typing import Any

import click
from _plate import train
from _plate_options import plate_options


@click.command()
@plate_options("rescue")
def main(**options: Any) -> None:
    """Train APP against WT, 3 channels: one model for each timepoint."""
    train("train_rescue", "rescue", options)


if __name__ == "__main__":
    main()
