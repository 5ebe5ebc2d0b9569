"""What a plate training logs, so that two runs compare well in the MLflow UI.

Pictures lie at the root of a run's artifacts and have the same names in every run: the
UI shows only such files side by side.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlflow_normgate.datasets import log_plate_csv
from normgate.contract import short_digest, spec_digest, to_json, write_atomic
from normgate.families.plate import figures
from normgate.families.plate.assemble import FAMILY, held_out
from normgate.families.plate.record import (
    flat_params,
    geometry_params,
    metric_table,
    spec_params,
    spec_table,
    vital_lines,
)
from normgate.gate.vitals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _plate import Trained
    from _plate_options import Request

    from mlflow_normgate.runs import Run
    from normgate.engine.card import Card
    from normgate.engine.settings import FitSettings
    from normgate.families.plate.assemble import Origin
    from normgate.families.plate.member import Member, Plan
    from normgate.tracker import Tracker

_logger = logging.getLogger(__name__)
_HEADLINES = (
    "test_auroc",
    "test_well_auroc",
    "test_accuracy",
    "test_nll",
    "test_ece",
    "temperature",
)


def record_tags(
    request: Request, plan: Plan, origin: Origin, replicate: int
) -> dict[str, str]:
    """The marks of a child."""
    time = origin.timepoint_ms
    return {
        "normgate.family": FAMILY,
        "normgate.preset": request.preset.name,
        "normgate.model": plan.name,
        "normgate.replicate": str(replicate),
        "normgate.timepoint_ms": "all" if time is None else str(time),
        "normgate.spec_digest": spec_digest(plan.spec),
        "normgate.spec": short_digest(spec_digest(plan.spec)),
        "normgate.applied_fingerprint": origin.applied_fingerprint,
    }


def record_begin(
    tracker: Tracker,
    request: Request,
    data: Path,
    plan: Plan,
    settings: FitSettings,
    folder: Path,
) -> None:
    """Settings, data and normalization, before the first step."""
    tracker.params(
        {
            **flat_params("fit", settings),
            **flat_params("model", plan.model),
            **geometry_params(request.geometry),
            **spec_params(plan.spec),
            "folds": plan.folds,
            "classes": ",".join(plan.classes),
            "augmentation": "D4",
            "units": len(plan.units.labels),
            "quarantined": len(plan.units.quarantined),
        }
    )
    log_plate_csv(tracker, data, "training")
    _normalization(tracker, request, plan, folder)
    _quarantine(tracker, plan, folder)
    tracker.note(f"{plan.name}, training.\n\n{spec_table(plan.spec)}")


def record_end(tracker: Tracker, plan: Plan, member: Member, folder: Path) -> None:
    """Results, once a replicate is fitted."""
    epochs = len(member.history)
    tracker.metrics(member.card.metrics, step=epochs)
    vitals = {f"vital.{vital.name}": vital.value for vital in member.vitals}
    tracker.metrics(vitals, step=epochs)
    worst = max((vital.level for vital in member.vitals), key=LEVELS.index)
    tracker.tags({"normgate.vitals": worst})
    curves, roc = folder / "curves.png", folder / "roc_calibration.png"
    figures.curves(curves, member.history)
    name = f"replicate {member.card.replicate + 1}"
    figures.roc_and_calibration(roc, {name: held_out(plan, [member])}, plan.classes[-1])
    for path in (curves, roc):
        tracker.artifact(path)
    headline = {name: member.card.metrics[name] for name in _HEADLINES}
    tracker.note(
        f"**{plan.name}**, replicate {member.card.replicate + 1}, seed "
        f"{member.card.seed}. {len(member.card.train_groups)} wells trained, "
        f"{len(member.card.validation_groups)} validated, "
        f"{len(member.card.test_groups)} tested.\n\n"
        f"{metric_table({'held-out wells': headline})}\n\n"
        f"{vital_lines(member.vitals)}\n\n{spec_table(plan.spec)}"
    )


def record_model(
    parent: Run, request: Request, plan: Plan, members: Sequence[Member], card: Card
) -> None:
    """A model's headline figures on the parent, where the UI shows them at once."""
    tracker = parent.tracker
    tracker.metrics({f"{plan.name}.{key}": v for key, v in card.metrics.items()}, 0)
    tracker.params(spec_params(plan.spec))
    tracker.tags(
        {
            "normgate.family": FAMILY,
            "normgate.spec_digest": card.spec_digest,
            "normgate.spec": short_digest(card.spec_digest),
        }
    )
    folder = request.out / "figures" / plan.name
    _normalization(tracker, request, plan, folder, f"{plan.name}_")
    roc = folder / f"{plan.name}_roc_calibration.png"
    of_members = {
        f"replicate {member.card.replicate + 1}": held_out(plan, [member])
        for member in members
    }
    figures.roc_and_calibration(roc, of_members, plan.classes[-1])
    tracker.artifact(roc)


def record_parent(
    parent: Run, request: Request, models: Sequence[Trained], closing: Sequence[str]
) -> None:
    """The closing words, in the run's note and on the console."""
    table = metric_table(
        {
            f"{model.name} version {model.version}": {
                key: model.card.metrics[key]
                for key in ("test_auroc", "test_auroc_std", "ensemble_auroc")
            }
            for model in models
        }
    )
    lines = [_sentence(model) for model in models]
    lines += closing
    listed = "\n".join(f"- {line}" for line in lines)
    parent.tracker.note(f"{table}\n\n{listed}\n\n{spec_table(request.spec)}")
    _logger.info("Done.")
    for line in lines:
        _logger.info("  %s", line)
    _logger.info("  figures of the training: %s", request.out / "figures")


def _sentence(model: Trained) -> str:
    metrics, count = model.card.metrics, len(model.card.members)
    spread = f" +- {metrics['test_auroc_std']:.3f} (std)" if count > 1 else ""
    return (
        f"{model.name} version {model.version}: AUROC {metrics['test_auroc']:.3f}"
        f"{spread} of {count} replicates on wells that each had not seen"
    )


def _normalization(
    tracker: Tracker, request: Request, plan: Plan, folder: Path, prefix: str = ""
) -> None:
    """Spec, provenance, intensities before and after, and units as pictures."""
    spec, origin = folder / "spec.json", folder / "provenance.json"
    write_atomic(spec, to_json(plan.spec))
    tracker.artifact(spec, "normalization")
    if request.provenance is not None:
        write_atomic(origin, to_json(request.provenance))
        tracker.artifact(origin, "normalization")
    histogram = folder / f"{prefix}histograms.png"
    units = folder / f"{prefix}units.png"
    figures.histograms(histogram, plan.spec, plan.units)
    figures.montage(units, plan.units, plan.classes)
    tracker.artifact(histogram)
    tracker.artifact(units)
    tracker.image(units, f"{prefix}units", step=0)


def _quarantine(tracker: Tracker, plan: Plan, folder: Path) -> None:
    if plan.units.quarantined:
        path = folder / "quarantine.txt"
        write_atomic(path, ("\n".join(plan.units.quarantined) + "\n").encode())
        tracker.artifact(path, "data")
