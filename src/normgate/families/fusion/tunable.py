"""The fusion family as a study sees it: beta, gamma and lambda_roi, with alpha fixed.

Judged in HU, by affine-invariant correlation and by the lesion's Dice, none of which a
weight is a part of. More gamma is a better Dice and worse bone and brain, so there is a
front and no single best.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from normgate.contract import spec_digest
from normgate.engine.record import flat_params
from normgate.engine.replicates import ReplicateTunable
from normgate.engine.split import split_digest
from normgate.engine.tunable import Objective, Terms, Weight
from normgate.families.fusion.assemble import FAMILY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import Setting
    from normgate.families.fusion.plan import Plan
    from normgate.families.fusion.settings import LossSettings

GAUGE = "alpha"
_RANGES = {"beta": (0.25, 6.0), "gamma": (0.25, 6.0), "lambda_roi": (0.1, 3.0)}
WEIGHTS = (*_RANGES, GAUGE)
OBJECTIVES = tuple(
    Objective(
        name=name,
        larger_is_better=True,
        worst=worst,
        best=best,
        during=f"validation_{name}",
    )
    for name, worst, best in (
        ("bone_psnr_hu", 10.0, 35.0),
        ("brain_ncc", 0.5, 1.0),
        ("lesion_dice", 0.0, 1.0),
        ("bone_ncc", 0.5, 1.0),
    )
)
CONSTRAINTS = (
    "fusion.fused.at_bound",
    "fusion.bone.ct_shuffle_drop",
    "fusion.brain.mri_shuffle_drop",
)


def tunable_of(
    plan: Plan,
    fit: FitSettings,
    bundled: Callable[[Plan, FitSettings, Sequence[Member], Path], object],
) -> ReplicateTunable:
    """The family, ready to be tuned.

    Args:
        plan: Patches, split and network; its loss holds the defaults.
        fit: How every trial is fitted.
        bundled: Writes a bundle of members.
    """

    def chosen(settings: Mapping[str, Setting]) -> Plan:
        own = {name: settings[name] for name in WEIGHTS}
        loss = replace(plan.loss, **own)  # type: ignore[arg-type]
        return replace(plan, loss=loss)

    fixed = {
        **flat_params("model", asdict(plan.model)),
        **flat_params("diffusion", asdict(plan.diffusion)),
        **flat_params("task", asdict(plan.task_settings)),
        **flat_params("loss", asdict(plan.loss)),
    }
    return ReplicateTunable(
        terms=terms_of(plan.loss),
        name=plan.name,
        constraints=CONSTRAINTS,
        spec_digest=spec_digest(plan.spec),
        data_digest=split_digest(plan.units.digest, plan.fold, plan.folds),
        fit=fit,
        fixed={
            k: v for k, v in fixed.items() if k.removeprefix("loss.") not in WEIGHTS
        },
        task_of=lambda settings, own: chosen(settings).task(0, own),
        bundle_of=lambda settings, own, members, to: bundled(
            chosen(settings), own, members, to
        ),
    )


def terms_of(loss: LossSettings) -> Terms:
    """What a study may search and be judged by; the loss holds the defaults."""
    return Terms(
        family=FAMILY,
        weights=_weights(loss),
        gauge={GAUGE: 1.0},
        objectives=OBJECTIVES,
        usual_objectives=("bone_psnr_hu", "brain_ncc", "lesion_dice"),
    )


def _weights(loss: LossSettings) -> tuple[Weight, ...]:
    return tuple(
        Weight(
            name=name,
            low=low,
            high=high,
            default=getattr(loss, name),
            log=True,
            most=1000.0,
        )
        for name, (low, high) in _RANGES.items()
    )
