"""The four plate trainings: one model for each timepoint, or one that sees all.

What every training does is `_training`'s; with the demonstration plates (or finish=all)
the way goes on in `_plate_finish`.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from _check import check_first
from _plate_finish import finish
from _plate_options import Request, parse
from _plate_record import PlateAccount, record_parent
from _training import Trained, Training, record_model, registered, replicates

from mlflow_normgate.datasets import file_digest, log_table
from mlflow_normgate.entry import run_entry
from normgate.engine.assemble import assemble
from normgate.engine.record import flat_params
from normgate.families.plate.assemble import (
    FAMILY,
    golden_counts,
    headline,
    origin_of,
)
from normgate.families.plate.bundled import PlateBundles
from normgate.families.plate.data import prepare
from normgate.families.plate.plan import Plan
from normgate.families.plate.selection import classes_of, select
from normgate.families.plate.split import folds_of
from normgate.plates.applied import readable_file
from normgate.plates.demo import write_demo
from normgate.plates.load import Loader, Site, sites
from normgate.plates.probe import verify
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.engine.card import Card
    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.families.plate.selection import Labelled

_logger = logging.getLogger(__name__)


def train(entry: str, preset: str, options: dict[str, Any]) -> None:
    """Run one plate training from parameters to the closing words."""
    with run_entry(entry, options, {"normgate.preset": preset}) as parent:
        request = parse(preset, options)
        data = request.data or demonstration(request.out)
        places = sites(read_plate_csv(data), data)
        check_first(
            parent,
            request.check,
            data,
            request.spec,
            provenance=request.provenance,
            out=request.out / "check",
            classes=classes_of(select(places, request.preset), request.preset),
        )
        log_table(parent.tracker, data, "training")
        models = [
            train_model(parent, request, data, places, timepoint)
            for timepoint in request.timepoints
        ]
        closing = finish(parent, request, data, models) if request.finish else []
        record_parent(parent, request, models, closing)


def train_model(
    parent: Run,
    request: Request,
    data: Path,
    places: list[Site],
    timepoint_ms: int | None,
) -> Trained:
    """Train all replicates of one model, and register their bundle."""
    plan, fingerprint = planned(request, places, timepoint_ms)
    training = training_of(request, data, plan, timepoint_ms, fingerprint)
    account = PlateAccount(plan)
    members = replicates(
        parent, training, account, request.fit, plan.task, request.replicates
    )
    folder = request.out / "bundles" / plan.name
    card = bundled(folder, request, training, plan, members, request.fit, timepoint_ms)
    record_model(parent, training, account, card)
    account.model(parent.tracker, members, training.figures)
    return registered(parent, folder, plan.name, card)


def planned(
    request: Request, places: list[Site], timepoint_ms: int | None
) -> tuple[Plan, str]:
    """Units, split and network of one model, and what was applied to the probe."""
    loader = Loader(request.spec, request.geometry, timepoint_ms)
    labelled = select(places, request.preset)
    fingerprint = verify(loader, readable_file(loader, (one.site for one in labelled)))
    return _plan(request, loader, labelled, timepoint_ms), fingerprint


def bundled(
    folder: Path,
    request: Request,
    training: Training,
    plan: Plan,
    members: Sequence[Member],
    fit: FitSettings,
    timepoint_ms: int | None,
) -> Card:
    """Write the bundle of a model's replicates."""
    return assemble(
        folder,
        PlateBundles(),
        origin_of(
            plan,
            preset=request.preset,
            geometry=request.geometry,
            timepoint_ms=timepoint_ms,
            applied_fingerprint=training.applied_fingerprint,
            provenance=request.provenance,
            data_digest=file_digest(training.data),
        ),
        members,
        fit,
        headline(plan, members),
        golden_counts(plan.spec, request.geometry.window or request.geometry.size),
    )


def _plan(
    request: Request,
    loader: Loader,
    labelled: Sequence[Labelled],
    timepoint_ms: int | None,
) -> Plan:
    units = prepare(loader, labelled, request.out / "cache")
    return Plan(
        name=request.preset.model_name(timepoint_ms),
        spec=request.spec,
        units=units,
        classes=request.preset.classes,
        fold=folds_of(
            units.labels,
            units.groups,
            request.preset.classes,
            folds=request.folds,
            seed=request.fit.seed,
        ),
        folds=request.folds,
        model=request.model,
        aggregation=request.aggregation,
    )


def training_of(
    request: Request, data: Path, plan: Plan, timepoint_ms: int | None, fingerprint: str
) -> Training:
    """One model's training, as its runs tell of it."""
    return Training(
        family=FAMILY,
        preset=request.preset.name,
        model=plan.name,
        data=data,
        spec=request.spec,
        provenance=request.provenance,
        applied_fingerprint=fingerprint,
        out=request.out,
        timepoint="all" if timepoint_ms is None else str(timepoint_ms),
        params={
            **flat_params("model", asdict(plan.model)),
            **flat_params("geometry", request.geometry.to_json()),
            "folds": plan.folds,
            "aggregation": plan.aggregation,
            "classes": ",".join(plan.classes),
            "augmentation": "D4",
            "units": len(plan.units.labels),
        },
        quarantined=plan.units.quarantined,
    )


def demonstration(out: Path) -> Path:
    """Plates to try things out, written unless they are there."""
    _logger.info("no data given: using demonstration plates in %s", out / "demo")
    return write_demo(out / "demo")
