"""Deploy promoted models over plates, cases or acquisitions: resumable, stamped."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlflow_normgate.deployment import (
    log_deployment,
    log_inputs,
    references,
    resolve_all,
)
from mlflow_normgate.entry import run_entry
from normgate.deploy import DeploySettings, Promoted, Report, deploy, prepare
from normgate.deploy.acquisitions import (
    AcquisitionReport,
    deploy_acquisitions,
    prepare_acquisitions,
)
from normgate.deploy.prepare import family_of
from normgate.deploy.volumes import deploy_cases, prepare_cases
from normgate.engine.device import set_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normgate.deploy.case_report import CaseReport

logger = logging.getLogger(__name__)


def _plates(promoted: Sequence[Promoted], settings: DeploySettings) -> Report:
    ready, places = prepare(promoted, settings.data, settings.device)
    return deploy(ready, places, settings)


def _cases(promoted: Sequence[Promoted], settings: DeploySettings) -> CaseReport:
    ready, rows = prepare_cases(promoted, settings.data, settings.device)
    return deploy_cases(ready, rows, settings)


def _acquisitions(
    promoted: Sequence[Promoted], settings: DeploySettings
) -> AcquisitionReport:
    ready, rows = prepare_acquisitions(promoted, settings.data, settings.device)
    return deploy_acquisitions(ready, rows, settings)


DEPLOYMENTS: dict[
    str,
    Callable[
        [Sequence[Promoted], DeploySettings], Report | CaseReport | AcquisitionReport
    ],
] = {"plate": _plates, "fusion": _cases, "imc": _acquisitions}
"""By family: what deploys its promoted models."""


@click.command()
@click.option("--models", default="", help="rescue-0ms,app or models:/app@champion.")
@click.option("--contract", default="", help="Or: all promoted under it.")
@click.option("--alias", default="champion", help="Alias of models named without one.")
@click.option(
    "--data", type=Path, required=True, help="Plate, case or acquisition CSV."
)
@click.option("--out", type=Path, default="work/predictions", help="Its predictions.")
@click.option("--batch-size", default=32, help="Units in one forward pass.")
@click.option("--workers", default=4, help="Threads that read ahead.")
@click.option("--shard-sites", default=64, help="Sites in one file of predictions.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:0.")
def main(
    models: str,
    contract: str,
    alias: str,
    data: Path,
    out: Path,
    batch_size: int,
    workers: int,
    shard_sites: int,
    device: str,
) -> None:
    """Deploy promoted models over the plates, cases or acquisitions of a CSV."""
    with run_entry("deploy", click.get_current_context().params) as run:
        settings = DeploySettings(
            data=data,
            out=out,
            batch_size=batch_size,
            workers=workers,
            shard_sites=shard_sites,
            device=device,
        )
        set_threads()
        promoted = resolve_all(references(models, contract, alias))
        log_inputs(run, promoted, data)
        family = family_of(promoted, tuple(DEPLOYMENTS))
        report = DEPLOYMENTS[family](promoted, settings)
        log_deployment(run, out, report.metrics(), report.sentence())
        logger.info("%s", report.sentence())
        logger.info("predictions are in %s", out)


if __name__ == "__main__":
    main()
