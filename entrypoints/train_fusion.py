"""Train models that fuse MRI and CT, guided by brain, bone and lesion."""

from __future__ import annotations

from typing import Any

import click
from _fusion import train
from _fusion_options import fusion_options


@click.command()
@fusion_options
def main(**options: Any) -> None:
    """Train models that fuse MRI and CT, guided by brain, bone and lesion."""
    train(options)


if __name__ == "__main__":
    main()
