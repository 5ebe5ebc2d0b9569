"""From a registered IMC model to latents: bind, promote, deploy.

The steps call what the entries `promote` and `deploy` call; the deployment has a child
run of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _imc_options import NAME
from _options import CONTRACTS
from _training import job_name, promoted

from mlflow_normgate.deployment import log_deployment, log_inputs, resolve_all
from mlflow_normgate.registry import CHAMPION
from mlflow_normgate.runs import child_run
from normgate.deploy import DeploySettings
from normgate.deploy.acquisitions import deploy_acquisitions, prepare_acquisitions

if TYPE_CHECKING:
    from pathlib import Path

    from _imc_options import Request
    from _training import Trained

    from mlflow_normgate.runs import Run


def finish(parent: Run, request: Request, data: Path, model: Trained) -> list[str]:
    """Take a trained model to the end of the way.

    Returns:
        What was done, a sentence each.

    Raises:
        PromotionRefused: The gate refused the model, with every reason.
    """
    lines = promoted([model], CONTRACTS / f"{NAME}.json", NAME)
    models = resolve_all([f"{model.name}@{CHAMPION}"])
    folder = request.out / "latents" / job_name(models, data)
    settings = DeploySettings(data=data, out=folder, device=request.fit.device)
    with child_run(parent, "deploy", folder.name) as child:
        ready, rows = prepare_acquisitions(models, data, settings.device)
        report = deploy_acquisitions(ready, rows, settings)
        if not child.finished:
            log_inputs(child, models, data)
            log_deployment(child, folder, report.metrics(), report.sentence())
    return [*lines, f"{report.sentence()} ({folder})"]
