"""From registered models to treatments: bind, promote, deploy, aggregate.

The steps call what the entries `promote`, `deploy` and `aggregate` call, each in a
child run of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _options import CONTRACTS
from _training import deployed, job_name, promoted

from mlflow_normgate.deployment import resolve_all
from mlflow_normgate.registry import CHAMPION
from mlflow_normgate.runs import child_run
from normgate.deploy import DeploySettings, deploy, prepare
from normgate.plates.gather import read_predictions
from normgate.plates.report import headline, markdown, write_report
from normgate.plates.treatments import AggregateSettings, analyse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _plate_options import Request
    from _training import Trained

    from mlflow_normgate.registry import Promoted
    from mlflow_normgate.runs import Run
    from normgate.deploy import Report


def finish(
    parent: Run, request: Request, data: Path, models: Sequence[Trained]
) -> list[str]:
    """Take trained models to the end of the way.

    Returns:
        What was done, a sentence each.

    Raises:
        PromotionRefused: The gate refused a model, with every reason.
    """
    contract = CONTRACTS / request.preset.contract
    lines = promoted(models, contract, request.preset.name)
    models_in_use = resolve_all([f"{model.name}@{CHAMPION}" for model in models])
    folder = request.out / "predictions" / job_name(models_in_use, data)
    settings = DeploySettings(data=data, out=folder, device=request.fit.device)
    lines.append(deployed(parent, models_in_use, settings, _deploy))
    return lines + _aggregate(parent, folder, request.out / "results" / folder.name)


def _deploy(models: Sequence[Promoted], settings: DeploySettings) -> Report:
    ready, places = prepare(models, settings.data, settings.device)
    return deploy(ready, places, settings)


def _aggregate(parent: Run, predictions: Path, out: Path) -> list[str]:
    settings = AggregateSettings()
    with child_run(parent, "aggregate", predictions.name) as child:
        analyses = [analyse(one, settings) for one in read_predictions(predictions)]
        files = write_report(analyses, settings, out)
        if not child.finished:
            for file in files:
                folder = "aggregate" / file.parent.relative_to(out)
                child.tracker.artifact(file, folder.as_posix())
            child.tracker.metrics(headline(analyses), step=0)
            child.tracker.note(markdown(analyses))
        parent.tracker.metrics(headline(analyses), step=0)
    figures = ", ".join(sorted({str(f.parent) for f in files if f.suffix == ".png"}))
    lines = [
        f"{one.title}: rescue of {len(one.treatments)} treatments, defined on "
        f"{int(one.plates['rescue_defined'].sum())} of {len(one.plates)} plates"
        for one in analyses
    ]
    return [*lines, f"read {out / 'summary.md'}; plates and treatments: {figures}"]
