"""Aggregate predictions to wells, plates and treatments: tables, intervals, figures."""

from __future__ import annotations

import logging
from pathlib import Path

import click
from _engine import Engine, with_engine

from mlflow_normgate.entry import run_entry
from normgate.cluster.engine import opened
from normgate.contract import short_digest
from normgate.plates.gather import read_predictions
from normgate.plates.report import headline, markdown, write_report
from normgate.plates.treatments import AggregateSettings, analyse

logger = logging.getLogger(__name__)


@click.command()
@click.option(
    "--predictions", type=Path, default="work/predictions", help="What deploy wrote."
)
@click.option("--out", type=Path, default="work/results", help="Tables and figures.")
@click.option("--disease", default="", help="0% class; default: the positive one.")
@click.option("--healthy", default="", help="100% class; default: the other one.")
@click.option(
    "--score", default="", help="mean, median, trimmed, weighted; default: the model's."
)
@click.option("--bootstrap", default=1000, help="Draws behind each interval.")
@click.option("--seed", default=0, help="Every draw follows from it.")
@with_engine
def main(
    predictions: Path,
    out: Path,
    disease: str,
    healthy: str,
    score: str,
    bootstrap: int,
    seed: int,
    engine: str,
    ray_address: str,
) -> None:
    """Aggregate predictions to wells, plates and treatments."""
    with run_entry("aggregate", click.get_current_context().params) as run:
        chosen = Engine(engine, ray_address)
        settings = AggregateSettings(
            disease=disease,
            healthy=healthy,
            score=score,
            bootstrap=bootstrap,
            seed=seed,
        )
        found = read_predictions(predictions)
        with opened(chosen.name, chosen.address) as spread:
            analyses = [analyse(model, settings, spread or map) for model in found]
        for model in found:
            logger.info("%s: %d rows", model.model, len(model.frame))
            run.tracker.tags(
                {
                    f"normgate.spec_digest.{model.model}": model.spec_digest,
                    f"normgate.manifest_digest.{model.model}": model.manifest_digest,
                }
            )
        files = write_report(analyses, settings, out)
        for file in files:
            folder = "aggregate" / file.parent.relative_to(out)
            run.tracker.artifact(file, folder.as_posix())
        run.tracker.metrics(headline(analyses), step=0)
        run.tracker.note(markdown(analyses))
        for one in analyses:
            defined = int(one.plates["rescue_defined"].sum())
            logger.info(
                "%s [%s]: rescue of %d treatments, defined on %d of %d plates",
                one.title,
                short_digest(one.predictions.spec_digest),
                len(one.treatments),
                defined,
                len(one.plates),
            )
        logger.info("open %s (or %s)", out / "report.html", out / "summary.md")


if __name__ == "__main__":
    main()
