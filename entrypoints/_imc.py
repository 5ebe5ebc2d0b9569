"""An IMC training from acquisitions to a registered model.

What every training does is `_training`'s; with the demonstration acquisitions (or
finish=all) the way goes on in `_imc_finish`.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from _check import check_first
from _imc_finish import finish
from _imc_options import NAME, Request, parse
from _imc_record import ImcAccount, record_parent
from _training import Trained, Training, record_model, registered, replicates

from mlflow_normgate.datasets import file_digest, log_table
from mlflow_normgate.entry import run_entry
from normgate.acquisitions.applied import like_of, verify
from normgate.acquisitions.demo import read_truth, write_demo
from normgate.acquisitions.load import Loader
from normgate.acquisitions.measured import STATE_NAME
from normgate.acquisitions.table import Acquisition, acquisitions, read_acquisition_csv
from normgate.engine.assemble import assemble
from normgate.engine.record import flat_params
from normgate.engine.split import group_folds
from normgate.families.imc.assemble import (
    FAMILY,
    golden_acquisitions,
    headline,
    origin_of,
)
from normgate.families.imc.bundled import ImcBundles
from normgate.families.imc.data import Known, prepare
from normgate.families.imc.plan import Plan
from normgate.families.imc.space import loses_abundance
from normgate.families.imc.statistics import Constants, constants_of
from normgate.plates.progress import LoggedProgress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_normgate.runs import Run
    from normgate.contract import Spec
    from normgate.engine.card import Card
    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings

_logger = logging.getLogger(__name__)


def train(options: dict[str, Any]) -> None:
    """Run one IMC training from parameters to the closing words."""
    with run_entry("train_imc", options, {"normgate.preset": NAME}) as parent:
        request = parse(options)
        data = request.data or demonstration(request.out)
        rows = acquisitions(read_acquisition_csv(data), data)
        log_table(parent.tracker, data, "training")
        plan, model = train_model(parent, request, data, rows)
        closing = finish(parent, request, data, model) if request.finish else []
        record_parent(parent, request, plan, model, closing)


def train_model(
    parent: Run, request: Request, data: Path, rows: tuple[Acquisition, ...]
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
    account = ImcAccount(plan)
    members = replicates(
        parent, training, account, request.fit, plan.task, request.replicates
    )
    folder = request.out / "bundles" / plan.name
    card = bundled(folder, training, plan, members, request.fit)
    record_model(parent, training, account, card)
    return plan, registered(parent, folder, plan.name, card)


def planned(
    request: Request, data: Path, rows: tuple[Acquisition, ...]
) -> tuple[Plan, Training]:
    """Units, split and network of the model, and what its runs tell."""
    groups = np.array([row.split_group for row in rows])
    fold = group_folds(
        groups, folds=request.folds, seed=request.fit.seed, what="slides or patients"
    )
    constants = _constants(request, data, rows, fold)
    loader = Loader(constants.spec, request.geometry)
    fingerprint = verify(loader, like_of(rows[0]))
    plan = _plan(request, loader, data, rows, fold)
    return plan, _training(request, data, plan, constants, fingerprint)


def bundled(
    folder: Path,
    training: Training,
    plan: Plan,
    members: Sequence[Member],
    fit: FitSettings,
) -> Card:
    """Write the bundle of the model's replicates."""
    return assemble(
        folder,
        ImcBundles(),
        origin_of(
            plan,
            preset=NAME,
            applied_fingerprint=training.applied_fingerprint,
            provenance=training.provenance,
            data_digest=file_digest(training.data),
        ),
        members,
        fit,
        headline(members),
        golden_acquisitions(plan),
    )


def _constants(
    request: Request, data: Path, rows: tuple[Acquisition, ...], fold: np.ndarray
) -> Constants:
    """The spec to use: as it is given, or measured on training acquisitions."""
    if request.measured is None:
        return Constants(spec=request.spec, provenance=request.provenance)
    return constants_of(
        data,
        rows,
        fold,
        request.measured,
        folds=request.folds,
        replicates=request.replicates,
        markers=request.markers,
        progress=LoggedProgress("measured", "acquisitions"),
        state=request.out / STATE_NAME,
    )


def _plan(
    request: Request,
    loader: Loader,
    data: Path,
    rows: tuple[Acquisition, ...],
    fold: np.ndarray,
) -> Plan:
    known = None if request.data else _known(data.parent, loader.spec)
    units = prepare(loader, rows, request.out / "cache", known)
    of_row = {row.acquisition: number for row, number in zip(rows, fold, strict=True)}
    return Plan(
        name=NAME,
        units=units,
        geometry=request.geometry,
        fold=np.array([of_row[str(name)] for name in units.names]),
        folds=request.folds,
        settings=request.settings,
        cofactor=request.cofactor,
        augment=request.augment,
    )


def _training(
    request: Request, data: Path, plan: Plan, constants: Constants, fingerprint: str
) -> Training:
    return Training(
        family=FAMILY,
        preset=NAME,
        model=plan.name,
        data=data,
        spec=plan.units.spec,
        provenance=constants.provenance,
        applied_fingerprint=fingerprint,
        out=request.out,
        params={
            **flat_params("model", asdict(plan.settings.model)),
            **flat_params("loss", asdict(plan.settings.loss)),
            **flat_params("geometry", request.geometry.to_json()),
            "folds": plan.folds,
            "augmentation": "D4" if plan.augment else "none",
            "evaluation.cofactor": plan.cofactor or "none",
            "abundance_lost": bool(loses_abundance(plan.units.spec)),
            "statistics": "contract" if request.measured is None else "measure",
            "units": len(plan.units.names),
        },
        quarantined=plan.units.quarantined,
    )


def _known(folder: Path, spec: Spec) -> dict[str, Known]:
    """What is true of the demonstration's acquisitions, in the spec's order."""
    known = {}
    for name, truth in read_truth(folder).items():
        order = [truth.channels.index(channel) for channel in spec.names]
        known[name] = Known(density=truth.density, clean_cyx=truth.clean_cyx[order])
    return known


def demonstration(out: Path) -> Path:
    """Acquisitions to try things out, written unless they are there."""
    folder = out / "acquisitions"
    _logger.info("no data given: using demonstration acquisitions in %s", folder)
    return write_demo(folder, progress=LoggedProgress("wrote", "slides"))
