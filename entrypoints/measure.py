"""Measure a plate CSV exactly, and write the spec, its provenance and a picture."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import click

from mlflow_normgate.datasets import log_table
from mlflow_normgate.entry import run_entry
from normgate.plates.measure import MeasureSettings, Then, imported, measure
from normgate.plates.measured import write_measured, write_spec
from normgate.plates.parameters import (
    mask_option,
    names_in_file,
    percentile_pair,
    whole_numbers,
    words,
)
from normgate.plates.progress import LoggedProgress
from normgate.plates.schema import read_plate_csv

logger = logging.getLogger(__name__)


@click.command()
@click.option("--data", type=Path, required=True, help="The plate CSV.")
@click.option("--out", type=Path, default="work/spec", help="The folder to write to.")
@click.option("--percentiles", default="1,99", help="Where intensities are clipped.")
@click.option("--then", type=click.Choice(get_args(Then)), default="imagenet")
@click.option("--mask", default="none", help="none, nonzero, above:<count>, files.")
@click.option("--timepoint", default="", help="0, or 0,10000 for a channel each.")
@click.option("--markers", default="", help="Which, in the spec's order; all if empty.")
@click.option("--labels", default="", help="Only rows of these labels count.")
@click.option("--groups", default="", help="A file of the split groups that count.")
@click.option("--workers", default=2, help="Threads that read and count.")
@click.option("--from-percentiles", "--from_percentiles", default="", help="A JSON.")
def main(
    data: Path,
    out: Path,
    percentiles: str,
    then: Then,
    mask: str,
    timepoint: str,
    markers: str,
    labels: str,
    groups: str,
    workers: int,
    from_percentiles: str,
) -> None:
    """Measure a plate CSV exactly, and write a spec."""
    with run_entry("measure", click.get_current_context().params) as run:
        above, mask_files = mask_option(mask)
        settings = MeasureSettings(
            percentiles=percentile_pair(percentiles),
            then=then,
            above=above,
            mask_files=mask_files,
            timepoints_ms=whole_numbers("timepoint", timepoint),
            markers=words(markers),
            labels=words(labels),
            split_groups=names_in_file("groups", Path(groups) if groups else None),
            workers=workers,
        )
        frame = read_plate_csv(data)
        log_table(run.tracker, data, "measure")
        if from_percentiles:
            found = imported(Path(from_percentiles), frame, data, settings)
            report = write_spec(*found, out)
        else:
            progress = LoggedProgress("measured", "pictures")
            measured = measure(frame, data, out, settings, progress)
            report = write_measured(measured, out)
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
