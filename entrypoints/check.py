"""Hold data against a spec before GPU time, in words and pictures.

Exit code 0 for green and yellow, 3 for a red finding, 2 for input that is refused.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click
from _check import checked_in_run

from mlflow_normgate.datasets import log_table
from mlflow_normgate.entry import run_entry
from normgate.check import BLOCKED, CheckSettings
from normgate.check.run import kind_of
from normgate.check.settings import sample_size
from normgate.contract import provenance_beside, read_spec
from normgate.plates.parameters import names_in_file

logger = logging.getLogger(__name__)


@click.command()
@click.option("--data", type=Path, required=True, help="A table, or configurations.")
@click.option("--spec", default="", help="What is to normalize them; empty: no spec.")
@click.option("--out", type=Path, default="work/check", help="Where reports go.")
@click.option("--sample", default="200", help="Rows that are read, or all.")
@click.option("--groups", default="", help="A file of the training groups or cases.")
@click.option("--workers", default=2, help="Threads that read.")
def main(
    data: Path, spec: str, out: Path, sample: str, groups: str, workers: int
) -> None:
    """Hold data against a spec before GPU time, in words and pictures."""
    with run_entry("check", click.get_current_context().params) as run:
        settings = CheckSettings(
            sample=sample_size(sample),
            workers=workers,
            training=names_in_file("groups", Path(groups) if groups else None),
        )
        if kind_of(data) != "configurations":
            log_table(run.tracker, data, "check")
        path = Path(spec) if spec else None
        found = checked_in_run(
            run,
            data,
            None if path is None else read_spec(path),
            settings,
            provenance=None if path is None else provenance_beside(path),
            out=out,
        )
    if found.level == "red":
        sys.exit(BLOCKED)


if __name__ == "__main__":
    main()
