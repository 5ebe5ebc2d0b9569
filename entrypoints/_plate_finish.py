"""From registered models to treatments: bind, promote, deploy, aggregate.

The steps call what the entries `promote`, `deploy` and `aggregate` call, each in a
child run of its own.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from _plate_options import CONTRACTS

from mlflow_normgate.deployment import log_deployment, log_inputs, resolve_all
from mlflow_normgate.registry import bind_contract, bound_contract, promote
from mlflow_normgate.runs import child_run
from normgate.contract import read_contract, short_digest
from normgate.deploy import DeploySettings, deploy, prepare
from normgate.plates.gather import read_predictions
from normgate.plates.report import headline, markdown, write_report
from normgate.plates.treatments import AggregateSettings, analyse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _plate import Trained
    from _plate_options import Request

    from mlflow_normgate.registry import Promoted
    from mlflow_normgate.runs import Run

_logger = logging.getLogger(__name__)
ALIAS = "champion"


def finish(
    parent: Run, request: Request, data: Path, models: Sequence[Trained]
) -> list[str]:
    """Take trained models to the end of the way.

    Returns:
        What was done, a sentence each.

    Raises:
        PromotionRefused: The gate refused a model, with every reason.
    """
    contract = read_contract(CONTRACTS / request.preset.contract)
    lines = []
    for model in models:
        if bound_contract(model.name) is None:
            bind_contract(model.name, contract, f"default of {request.preset.name}")
        promote(model.name, model.version, ALIAS)
        lines.append(f"{model.name} version {model.version}: promoted to {ALIAS}")
        _logger.info("%s", lines[-1])
    promoted = resolve_all([f"{model.name}@{ALIAS}" for model in models])
    folder = request.out / "predictions" / _job(promoted, data)
    lines.append(_deploy(parent, request, data, promoted, folder))
    return lines + _aggregate(parent, folder, request.out / "results" / folder.name)


def _deploy(
    parent: Run,
    request: Request,
    data: Path,
    promoted: Sequence[Promoted],
    folder: Path,
) -> str:
    settings = DeploySettings(data=data, out=folder, device=request.fit.device)
    with child_run(parent, "deploy", folder.name) as child:
        ready, places = prepare(promoted, data, settings.device)
        report = deploy(ready, places, settings)
        if not child.finished:
            log_inputs(child, promoted, data)
            log_deployment(child, folder, report.metrics(), report.sentence())
    return f"{report.sentence()} ({folder})"


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


def _job(promoted: Sequence[Promoted], data: Path) -> str:
    """A folder's name for these models on this table."""
    text = "".join(sorted(one.manifest_digest for one in promoted))
    return short_digest(hashlib.sha256(text.encode() + data.read_bytes()).hexdigest())
