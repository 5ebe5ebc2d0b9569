"""Deploy promoted models over plates, cases or acquisitions: resumable, stamped."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from _engine import Engine, with_engine

from mlflow_normgate.deployment import (
    log_deployment,
    log_inputs,
    references,
    resolve_all,
)
from mlflow_normgate.entry import run_entry
from normgate.cluster.engine import opened
from normgate.deploy import DeploySettings, Promoted, Report, deploy, prepare
from normgate.deploy.acquisitions import (
    AcquisitionReport,
    deploy_acquisitions,
    prepare_acquisitions,
)
from normgate.deploy.predicting import Elsewhere
from normgate.deploy.prepare import family_of
from normgate.deploy.volumes import deploy_cases, prepare_cases
from normgate.engine.device import set_threads
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from normgate.deploy.case_report import CaseReport
    from normgate.deploy.models import Model

logger = logging.getLogger(__name__)


def _plates(
    promoted: Sequence[Promoted], settings: DeploySettings, engine: Engine
) -> Report:
    ready, places = prepare(promoted, settings.data, settings.device)
    device = ready[0].device
    with opened(engine.name, engine.address, gpu=device == "cuda") as spread:
        if spread is None:
            return deploy(ready, places, settings)
        anew = partial(_prepared, promoted, settings.data.absolute(), device)
        return deploy(ready, places, settings, Elsewhere(anew, settings, spread))


def _prepared(promoted: Sequence[Promoted], data: Path, device: str) -> list[Model]:
    """The models as a worker of a cluster verifies and loads them itself."""
    set_threads()
    return prepare(promoted, data, device)[0]


def _cases(
    promoted: Sequence[Promoted], settings: DeploySettings, engine: Engine
) -> CaseReport:
    _refuse_cluster(engine, "cases")
    ready, rows = prepare_cases(promoted, settings.data, settings.device)
    return deploy_cases(ready, rows, settings)


def _acquisitions(
    promoted: Sequence[Promoted], settings: DeploySettings, engine: Engine
) -> AcquisitionReport:
    _refuse_cluster(engine, "acquisitions")
    ready, rows = prepare_acquisitions(promoted, settings.data, settings.device)
    return deploy_acquisitions(ready, rows, settings)


def _refuse_cluster(engine: Engine, rows: str) -> None:
    if engine.name != "local":
        raise SettingsError(
            f"engine is {engine.name!r}, but {rows} are deployed by this machine "
            "alone; leave engine=local"
        )


DEPLOYMENTS: dict[
    str,
    Callable[
        [Sequence[Promoted], DeploySettings, Engine],
        Report | CaseReport | AcquisitionReport,
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
@with_engine
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
    engine: str,
    ray_address: str,
) -> None:
    """Deploy promoted models over the plates, cases or acquisitions of a CSV."""
    with run_entry("deploy", click.get_current_context().params) as run:
        chosen = Engine(engine, ray_address)
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
        report = DEPLOYMENTS[family](promoted, settings, chosen)
        log_deployment(run, out, report.metrics(), report.sentence())
        logger.info("%s", report.sentence())
        logger.info("predictions are in %s", out)


if __name__ == "__main__":
    main()
