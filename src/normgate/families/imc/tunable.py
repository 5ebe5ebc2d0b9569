"""The IMC family as a study sees it: weights of the loss beside the error's own.

The mean squared error has weight 1 and is the gauge. Judged by how much of the layout
within units is reconstructed, by a probe for density where that is known, and by the
true KL, of which less is better: the front is that of rate and distortion. The KL that
a loss reports is no objective, for the floor of its free bits is a weight.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from normgate.contract import spec_digest
from normgate.engine.record import flat_params
from normgate.engine.replicates import ReplicateTunable
from normgate.engine.split import split_digest
from normgate.engine.tunable import Objective, Terms, Weight
from normgate.families.imc.assemble import FAMILY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.engine.tunable import Setting
    from normgate.families.imc.plan import Plan
    from normgate.families.imc.settings import ImcSettings

_RANGES = {
    "kld_scale": (1e-5, 1e-2, True),
    "free_bits": (0.0, 0.5, False),
    "cosine": (0.0, 1.0, False),
    "gradient": (0.0, 0.3, False),
    "perm": (0.0, 0.5, False),
}
GAUGE = "mse"
WEIGHTS = (*_RANGES, GAUGE)
_PROBE = "density_probe"
OBJECTIVES = tuple(
    Objective(
        name=name,
        larger_is_better=larger,
        worst=worst,
        best=best,
        during=during,
    )
    for name, larger, worst, best, during in (
        ("spatial_r2", True, 0.0, 1.0, "validation_spatial_r2"),
        (_PROBE, True, 0.0, 1.0, ""),
        ("kl_true", False, 150.0, 5.0, "validation_kl_true"),
        ("r2_median", True, 0.0, 1.0, "validation_r2_median"),
        ("abundance_r2", True, 0.0, 1.0, "validation_abundance_r2"),
    )
)
_CONSTRAINTS = ("imc.kl.true", "imc.images.r2_low_scale")


def tunable_of(
    plan: Plan,
    fit: FitSettings,
    bundled: Callable[[Plan, FitSettings, Sequence[Member], Path], object],
) -> ReplicateTunable:
    """The family, ready to be tuned.

    Args:
        plan: Units, split and network; its loss holds the defaults.
        fit: How every trial is fitted.
        bundled: Writes a bundle of members.
    """
    terms = terms_of(plan.settings, probed="density" in plan.units.labels)
    names = [one.name for one in terms.weights]

    def chosen(settings: Mapping[str, Setting]) -> Plan:
        own = {name: settings[name] for name in names}
        loss = replace(plan.settings.loss, **own)  # type: ignore[arg-type]
        return replace(plan, settings=replace(plan.settings, loss=loss))

    fixed = {
        **flat_params("model", asdict(plan.settings.model)),
        **flat_params("loss", asdict(plan.settings.loss)),
        "augment": plan.augment,
        "cofactor": plan.cofactor or "none",
    }
    permuted = plan.settings.model.permuter != "none"
    return ReplicateTunable(
        terms=terms,
        name=plan.name,
        of_vitals={_PROBE: "imc.latent.density_probe"},
        constraints=(*_CONSTRAINTS, *(["imc.permuter.accuracy"] if permuted else [])),
        spec_digest=spec_digest(plan.units.spec),
        data_digest=split_digest(plan.units.digest, plan.fold, plan.folds),
        fit=fit,
        fixed={k: v for k, v in fixed.items() if k.removeprefix("loss.") not in names},
        task_of=lambda settings, own: chosen(settings).task(0, own),
        bundle_of=lambda settings, own, members, to: bundled(
            chosen(settings), own, members, to
        ),
    )


def terms_of(settings: ImcSettings, *, probed: bool) -> Terms:
    """What a study may search and be judged by.

    Args:
        settings: Their loss holds the defaults.
        probed: Whether the density is known, so that a probe can be asked for it.
    """
    return Terms(
        family=FAMILY,
        weights=_weights(settings),
        gauge={GAUGE: 1.0},
        objectives=tuple(one for one in OBJECTIVES if probed or one.name != _PROBE),
        usual_objectives=("spatial_r2", *([_PROBE] if probed else []), "kl_true"),
        weighted=("loss", "train_loss", "weighted_loss", "kl_reported"),
    )


def _weights(settings: ImcSettings) -> tuple[Weight, ...]:
    """Without perm where no permuter could be weighed."""
    permuted = settings.model.permuter != "none"
    return tuple(
        Weight(
            name=name,
            low=low,
            high=high,
            default=getattr(settings.loss, name),
            log=log,
            most=1000.0,
        )
        for name, (low, high, log) in _RANGES.items()
        if permuted or name != "perm"
    )
