"""A fusion training from cases to a registered model.

What every training does is `_training`'s; with the demonstration heads (or finish=all)
the way goes on in `_fusion_finish`.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from _check import check_first
from _fusion_finish import finish
from _fusion_options import Request, parse
from _fusion_record import FusionAccount, record_parent
from _training import Trained, Training, record_model, registered, replicates

from mlflow_normgate.datasets import file_digest, log_table
from mlflow_normgate.entry import run_entry
from normgate.engine.assemble import assemble, mean_metrics
from normgate.engine.record import flat_params
from normgate.engine.split import group_folds
from normgate.families.fusion.assemble import FAMILY, golden_volumes, origin_of
from normgate.families.fusion.bundled import FusionBundles
from normgate.families.fusion.data import prepare
from normgate.families.fusion.plan import Plan
from normgate.families.fusion.statistics import Constants, constants_of, refuse_leaks
from normgate.plates.progress import LoggedProgress
from normgate.volumes.applied import readable_like, verify
from normgate.volumes.cases import Case, cases, read_case_csv
from normgate.volumes.demo import write_demo
from normgate.volumes.load import Loader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.engine.card import Card
    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings

_logger = logging.getLogger(__name__)


def train(options: dict[str, Any]) -> None:
    """Run one fusion training from parameters to the closing words."""
    tags = {"normgate.preset": str(options["preset"])}
    with run_entry("train_fusion", options, tags) as parent:
        request = parse(options)
        data = request.data or demonstration(request.out)
        rows = cases(read_case_csv(data), data)
        log_table(parent.tracker, data, "training")
        plan, model = train_model(parent, request, data, rows)
        closing = finish(parent, request, data, model) if request.finish else []
        record_parent(parent, request, plan, model, closing)


def train_model(
    parent: Run, request: Request, data: Path, rows: tuple[Case, ...]
) -> tuple[Plan, Trained]:
    """Train all replicates of the model, and register their bundle."""
    plan, training = planned(request, data, rows)
    check_first(
        parent,
        request.check,
        data,
        training.spec,
        provenance=training.provenance,
        out=request.out / "check",
    )
    account = FusionAccount(plan)
    members = replicates(
        parent, training, account, request.fit, plan.task, request.replicates
    )
    folder = request.out / "bundles" / plan.name
    card = bundled(folder, request, training, plan, members, request.fit)
    record_model(parent, training, account, card)
    return plan, registered(parent, folder, plan.name, card)


def planned(
    request: Request, data: Path, rows: tuple[Case, ...]
) -> tuple[Plan, Training]:
    """Patches, split and network of the model, audited, and what its runs tell."""
    groups = np.array([case.split_group for case in rows])
    fold = group_folds(
        groups, folds=request.folds, seed=request.fit.seed, what="patients"
    )
    constants = _constants(request, data, rows, fold)
    loader = Loader(constants.spec, request.geometry)
    fingerprint = verify(loader, readable_like(rows))
    plan = _plan(request, loader, rows, fold)
    _audited(request, plan)
    return plan, _training(request, data, plan, constants, fingerprint)


def bundled(
    folder: Path,
    request: Request,
    training: Training,
    plan: Plan,
    members: Sequence[Member],
    fit: FitSettings,
) -> Card:
    """Write the bundle of the model's replicates."""
    return assemble(
        folder,
        FusionBundles(),
        origin_of(
            plan,
            preset=request.preset,
            geometry=request.geometry,
            applied_fingerprint=training.applied_fingerprint,
            provenance=training.provenance,
            data_digest=file_digest(training.data),
        ),
        members,
        fit,
        mean_metrics(members, "test_bone_psnr_hu"),
        golden_volumes(plan.spec, request.geometry),
    )


def _constants(
    request: Request, data: Path, rows: tuple[Case, ...], fold: np.ndarray
) -> Constants:
    """The spec to use: as it is given, or with CT constants of training cases."""
    given = Constants(spec=request.spec, provenance=request.provenance)
    if request.statistics == "measure":
        return constants_of(
            given,
            data,
            rows,
            fold,
            folds=request.folds,
            replicates=request.replicates,
            progress=LoggedProgress("measured", "cases"),
        )
    refuse_leaks(given, rows, fold, folds=request.folds, replicates=request.replicates)
    return given


def _plan(
    request: Request, loader: Loader, rows: tuple[Case, ...], fold: np.ndarray
) -> Plan:
    units = prepare(loader, rows, request.out / "cache")
    of_case = {case.case: number for case, number in zip(rows, fold, strict=True)}
    return Plan(
        name=request.preset.model_name,
        spec=loader.spec,
        units=units,
        fold=np.array([of_case[str(name)] for name in units.cases]),
        folds=request.folds,
        model=request.model,
        diffusion=request.diffusion,
        loss=request.preset.loss,
        task_settings=request.task,
    )


def _audited(request: Request, plan: Plan) -> None:
    """Stop where the normalization is red, unless it is to be recorded alone."""
    audit = plan.units.audit
    for sentence in audit.warnings:
        _logger.warning("normalization: %s", sentence)
    if request.audit == "refuse":
        audit.refuse()
    for sentence in audit.refusals:
        _logger.warning("normalization, red and trained nevertheless: %s", sentence)


def _training(
    request: Request, data: Path, plan: Plan, constants: Constants, fingerprint: str
) -> Training:
    return Training(
        family=FAMILY,
        preset=request.preset.name,
        model=plan.name,
        data=data,
        spec=plan.spec,
        provenance=constants.provenance,
        applied_fingerprint=fingerprint,
        out=request.out,
        params={
            **flat_params("model", asdict(plan.model)),
            **flat_params("diffusion", asdict(plan.diffusion)),
            **flat_params("loss", asdict(plan.loss)),
            **flat_params("task", asdict(plan.task_settings)),
            **flat_params("geometry", request.geometry.to_json()),
            **flat_params("power_share", plan.units.audit.power_share),
            "folds": plan.folds,
            "statistics": request.statistics,
            "units": len(plan.units.cases),
        },
        quarantined=plan.units.quarantined,
    )


def demonstration(out: Path) -> Path:
    """Heads to try things out, written unless they are there."""
    _logger.info("no data given: using demonstration heads in %s", out / "heads")
    return write_demo(out / "heads", progress=LoggedProgress("wrote", "heads"))
