"""From a registered IMC model to latents: bind, promote, deploy.

The steps call what the entries `promote` and `deploy` call; the deployment has a child
run of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _imc_options import NAME
from _training import deployed, job_name, promoted

from mlflow_normgate.deployment import resolve_all
from mlflow_normgate.registry import CHAMPION
from normgate.deploy import DeploySettings
from normgate.deploy.acquisitions import deploy_acquisitions, prepare_acquisitions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _imc_options import Request
    from _training import Trained

    from mlflow_normgate.registry import Promoted
    from mlflow_normgate.runs import Run
    from normgate.deploy.acquisitions import AcquisitionReport


def finish(parent: Run, request: Request, data: Path, model: Trained) -> list[str]:
    """Take a trained model to the end of the way.

    Returns:
        What was done, a sentence each.

    Raises:
        PromotionRefused: The gate refused the model, with every reason.
    """
    lines = promoted([model], request.contract, NAME)
    models = resolve_all([f"{model.name}@{CHAMPION}"])
    folder = request.out / "latents" / job_name(models, data)
    settings = DeploySettings(data=data, out=folder, device=request.fit.device)
    return [*lines, deployed(parent, models, settings, _deploy)]


def _deploy(models: Sequence[Promoted], settings: DeploySettings) -> AcquisitionReport:
    ready, rows = prepare_acquisitions(models, settings.data, settings.device)
    return deploy_acquisitions(ready, rows, settings)
