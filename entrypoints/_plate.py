"""The four plate trainings: one parent run, a child for each replicate and timepoint.

A finished child is skipped on a rerun and an unfinished one is resumed. When all
replicates of a model are there, they become one bundle, which is registered; with the
demonstration plates (or finish=all) the way goes on in `_plate_finish`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from _plate_finish import finish
from _plate_options import Request, parse
from _plate_record import (
    record_begin,
    record_end,
    record_model,
    record_parent,
    record_tags,
)

from mlflow_normgate.bundles import log_bundle
from mlflow_normgate.datasets import file_digest, log_plate_csv
from mlflow_normgate.entry import run_entry
from mlflow_normgate.runs import child_run
from normgate.contract import write_atomic
from normgate.engine.loop import fit_identity
from normgate.families.plate.assemble import Origin, assemble
from normgate.families.plate.data import prepare
from normgate.families.plate.member import Member, Plan, train_member
from normgate.families.plate.selection import select
from normgate.families.plate.split import folds_of
from normgate.plates.applied import readable_file
from normgate.plates.demo import write_demo
from normgate.plates.load import Loader, Site, sites
from normgate.plates.probe import verify
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.engine.card import Card

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One registered model."""

    name: str
    version: str
    card: Card


def train(entry: str, preset: str, options: dict[str, Any]) -> None:
    """Run one plate training from parameters to the closing words."""
    with run_entry(entry, options, {"normgate.preset": preset}) as parent:
        request = parse(preset, options)
        data = request.data or demonstration(request.out)
        places = sites(read_plate_csv(data), data)
        log_plate_csv(parent.tracker, data, "training")
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
    plan, origin = planned(request, data, places, timepoint_ms)
    name = plan.name
    members = [
        _replicate(parent, request, data, plan, origin, number)
        for number in range(request.replicates)
    ]
    folder = request.out / "bundles" / name
    card = assemble(folder, plan, members, request.fit, origin)
    record_model(parent, request, plan, members, card)
    version = _registered(parent, folder, name, card)
    return Trained(name=name, version=version, card=card)


def planned(
    request: Request, data: Path, places: list[Site], timepoint_ms: int | None
) -> tuple[Plan, Origin]:
    """Prepare one model: its units, their split, and what was applied to them."""
    name = request.preset.model_name(timepoint_ms)
    loader = Loader(request.spec, request.geometry, timepoint_ms)
    labelled = select(places, request.preset)
    fingerprint = verify(loader, readable_file(loader, (one.site for one in labelled)))
    units = prepare(loader, labelled, request.out / "cache")
    plan = Plan(
        name=name,
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
    )
    origin = Origin(
        preset=request.preset,
        geometry=request.geometry,
        timepoint_ms=timepoint_ms,
        applied_fingerprint=fingerprint,
        provenance=request.provenance,
        data_digest=file_digest(data),
    )
    return plan, origin


def _replicate(
    parent: Run, request: Request, data: Path, plan: Plan, origin: Origin, number: int
) -> Member:
    settings = replace(request.fit, seed=request.fit.seed + number)
    task = plan.task(number, settings)
    identity = fit_identity(task, settings)
    folder = request.out / "train" / plan.name / identity[:12]
    tags = record_tags(request, plan, origin, number)
    with child_run(parent, task.name, identity, tags) as child:
        if not child.finished:
            record_begin(child.tracker, request, data, plan, settings, folder)
        member = train_member(task, number, settings, child.tracker, folder)
        if not child.finished:
            record_end(child.tracker, plan, member, folder)
    _logger.info(
        "%s%s: test AUROC %.3f by well split, temperature %.2f",
        task.name,
        " (finished before)" if child.finished else "",
        member.card.metrics["test_auroc"],
        member.card.temperature,
    )
    return member


def _registered(parent: Run, folder: Path, name: str, card: Card) -> str:
    """Register a bundle; one that this registry has from here is not sent again."""
    note = folder.with_name(f"{name}.registered.json")
    where = {
        "tracking_uri": parent.place.tracking_uri,
        "manifest_digest": file_digest(folder / "manifest.json"),
    }
    if note.exists():
        known = json.loads(note.read_bytes())
        if where.items() <= known.items():
            return str(known["version"])
    found = log_bundle(
        folder,
        run_id=parent.run_id,
        registered_name=name,
        tags={"normgate.preset": card.preset, "normgate.code": card.code_version},
    )
    record = {**where, "version": found.version, "model_id": found.model_id}
    write_atomic(note, (json.dumps(record, indent=2) + "\n").encode())
    return found.version


def demonstration(out: Path) -> Path:
    """Plates to try things out, written unless they are there."""
    _logger.info("no data given: using demonstration plates in %s", out / "demo")
    return write_demo(out / "demo")
