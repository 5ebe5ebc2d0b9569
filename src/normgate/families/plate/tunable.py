"""The plate family as a study sees it: the optimizer, dropout, how units become wells.

Wells that were held out judge it, never how far a drug is called rescued.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from normgate.contract import spec_digest
from normgate.engine.record import flat_params
from normgate.engine.replicates import ReplicateTunable
from normgate.engine.split import split_digest
from normgate.engine.tunable import Choice, Objective, Terms, Weight
from normgate.families.plate.assemble import FAMILY
from normgate.plates.well_score import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import Setting
    from normgate.families.plate.plan import Plan
    from normgate.families.plate.settings import ModelSettings

OBJECTIVES = tuple(
    Objective(
        name=name,
        larger_is_better=larger,
        worst=worst,
        best=best,
        during=f"validation_{name}",
    )
    for name, larger, worst, best in (
        ("well_auroc", True, 0.5, 1.0),
        ("well_nll", False, 0.7, 0.0),
        ("auroc", True, 0.5, 1.0),
        ("nll", False, 0.7, 0.2),
        ("ece", False, 0.25, 0.0),
    )
)


def tunable_of(
    plan: Plan,
    fit: FitSettings,
    bundled: Callable[[Plan, FitSettings, Sequence[Member], Path], object],
) -> ReplicateTunable:
    """The family, ready to be tuned.

    Args:
        plan: Units, split and network; its dropout and aggregation are the defaults.
        fit: Its lr and weight decay are the defaults.
        bundled: Writes a bundle of members.
    """

    def chosen(settings: Mapping[str, Setting]) -> Plan:
        model = replace(plan.model, dropout=float(settings["dropout"]))
        aggregation = str(settings["aggregation"])
        return replace(plan, model=model, aggregation=aggregation)

    fixed = flat_params("model", asdict(plan.model))
    del fixed["model.dropout"]
    return ReplicateTunable(
        terms=terms_of(plan.model, fit, plan.aggregation),
        name=plan.name,
        constraints=("predictions.one_class",),
        spec_digest=spec_digest(plan.spec),
        data_digest=split_digest(plan.units.digest, plan.fold, plan.folds),
        fit=fit,
        fixed=fixed,
        task_of=lambda settings, own: chosen(settings).task(0, own),
        bundle_of=lambda settings, own, members, to: bundled(
            chosen(settings), own, members, to
        ),
    )


def terms_of(model: ModelSettings, fit: FitSettings, aggregation: str) -> Terms:
    """What a study may search and be judged by.

    Args:
        model: Its dropout is the default.
        fit: Its lr and weight decay are the defaults.
        aggregation: The default of how units become wells.
    """
    return Terms(
        family=FAMILY,
        weights=_weights(model, fit),
        objectives=OBJECTIVES,
        usual_objectives=("well_auroc", "well_nll"),
        choices=(
            Choice(
                name="aggregation",
                options=tuple(WORDS),
                default=aggregation,
                judges=("well_auroc", "well_nll"),
            ),
        ),
    )


def _weights(model: ModelSettings, fit: FitSettings) -> tuple[Weight, ...]:
    return (
        Weight(
            name="lr",
            low=3e-4,
            high=3e-2,
            default=fit.lr,
            log=True,
            least=1e-9,
            most=1.0,
        ),
        Weight(
            name="weight_decay",
            low=1e-4,
            high=0.3,
            default=fit.weight_decay,
            log=True,
            most=100.0,
        ),
        Weight(name="dropout", low=0.0, high=0.5, default=model.dropout, most=0.99),
    )
