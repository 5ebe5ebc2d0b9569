"""Measure a table of plates or acquisitions exactly, and write spec and provenance."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from _engine import with_engine
from _measure import Options, measured

from mlflow_normgate.datasets import log_table
from mlflow_normgate.entry import run_entry

logger = logging.getLogger(__name__)


@click.command()
@click.option("--data", type=Path, required=True, help="A plate or acquisition CSV.")
@click.option("--out", type=Path, default="work/spec", help="The folder to write to.")
@click.option("--percentiles", default="", help="1,99; of acquisitions 0,99.9.")
@click.option("--then", default="", help="imagenet; of acquisitions zscore.")
@click.option("--cofactor", default="1", help="Of arcsinh for acquisitions, or none.")
@click.option("--mask", default="none", help="none, nonzero, above:<count>, files.")
@click.option("--timepoint", default="", help="0, or 0,10000 for a channel each.")
@click.option("--markers", default="", help="Which, in the spec's order; all if empty.")
@click.option("--labels", default="", help="Only rows of these labels count.")
@click.option("--groups", default="", help="A file of the split groups that count.")
@click.option("--workers", default=2, help="Threads that read and count.")
@click.option("--from-percentiles", "--from_percentiles", default="", help="A JSON.")
@with_engine
def main(**options: Any) -> None:
    """Measure a table of plates or acquisitions exactly, and write a spec."""
    with run_entry("measure", click.get_current_context().params) as run:
        chosen = Options(**options)
        log_table(run.tracker, chosen.data, "measure")
        report = measured(chosen)
        for sentence in report.warnings:
            logger.warning("%s", sentence)
        run.tracker.params(report.params)
        run.tracker.metrics(report.figures, 0)
        run.tracker.tags({"normgate.spec_digest": report.digest})
        for path in report.files:
            run.tracker.artifact(path, "normalization")
        run.tracker.note(report.note)
        logger.info("%s", report.sentence)


if __name__ == "__main__":
    main()
