"""Index a folder of images into a plate CSV, and say what is odd about them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import click

from mlflow_normgate.datasets import log_table
from mlflow_normgate.entry import run_entry
from normgate.plates.index import IndexSettings, index
from normgate.plates.layouts import Layout
from normgate.plates.parameters import whole_numbers, words
from normgate.plates.progress import LoggedProgress
from normgate.plates.schema import markers

logger = logging.getLogger(__name__)


@click.command()
@click.option("--images", type=Path, required=True, help="The folder of images.")
@click.option("--out", type=Path, default="work/plates.csv", help="The CSV to write.")
@click.option("--layout", type=click.Choice(get_args(Layout)), default="auto")
@click.option("--pattern", default="", help="A regular expression with named groups.")
@click.option("--masks", default="", help="The same for cells, or a label image.")
@click.option("--platemap", default="", help="A CSV of wells and what they hold.")
@click.option("--column-rule", "--column_rule", default="", help="1-2=WT,3-4=APP")
@click.option("--plate", default="", help="The plate's name, where no file tells it.")
@click.option("--z", default="", help="One Z step, or projection (ImageXpress).")
@click.option("--timepoints", default="", help="Their milliseconds: 0,10000.")
@click.option("--channels", default="", help="OME-Zarr without channel names: theirs.")
def main(
    images: Path,
    out: Path,
    layout: Layout,
    pattern: str,
    masks: str,
    platemap: str,
    column_rule: str,
    plate: str,
    z: str,
    timepoints: str,
    channels: str,
) -> None:
    """Index a folder of images into a plate CSV."""
    with run_entry("index", click.get_current_context().params) as run:
        settings = IndexSettings(
            images=images,
            out=out,
            layout=layout,
            pattern=pattern,
            masks=masks,
            platemap=Path(platemap) if platemap else None,
            column_rule=column_rule,
            plate=plate,
            z=z,
            timepoints_ms=whole_numbers("timepoints", timepoints),
            channels=words(channels),
        )
        indexed = index(settings, LoggedProgress("indexed", "files"))
        for finding in indexed.findings:
            logger.warning("%s", finding.sentence)
        log_table(run.tracker, out, "index")
        run.tracker.artifact(out, "plates")
        run.tracker.metrics(indexed.figures, 0)
        run.tracker.note(indexed.note)
        names = ", ".join(markers(indexed.frame))
        rows = len(indexed.frame)
        logger.info("%d rows of %s (layout %s) in %s", rows, names, indexed.layout, out)
        logger.info("next: measure, with data=%s", out)


if __name__ == "__main__":
    main()
