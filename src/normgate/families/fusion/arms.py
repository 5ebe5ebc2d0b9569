"""The arms of the incident's replay, as data: one training each.

`before` and `after` are what the incident's post-mortem had and prescribed, with a
sampler and a conditioning that work; `best` is what should be done, and the arms after
it break one thing of it. The last three sample with the incident's own sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from normgate.families.fusion.settings import (
    DiffusionSettings,
    LossSettings,
    ModelSettings,
)

CtNormalization = Literal[
    "nnunet_ct", "legacy_minmax_ct", "legacy_masked_z_ct", "legacy_window_ct"
]
"""Clip to dataset percentiles and z-score by dataset; [-1000, 3000] to [0, 1]; z-score
of each sample above -900 HU; [-160, 240] to [-2, 2]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training of the replay."""

    name: str
    about: str
    """What is done, in a few words."""
    ct: CtNormalization
    model: ModelSettings
    diffusion: DiffusionSettings
    loss: LossSettings
    trained_as: str = ""
    """The arm whose weights it takes, where only the sampler differs."""


def _arms() -> tuple[Arm, ...]:
    before = Arm(
        name="before",
        about="CT in 0..1, clamp at [-3, 5], noise predicted",
        ct="legacy_minmax_ct",
        model=ModelSettings(),
        diffusion=DiffusionSettings(prediction="eps_legacy", bound="hard_legacy"),
        loss=LossSettings(
            alpha=1.0,
            beta=0.8,
            gamma=2.5,
            ssim="global_legacy",
            target="average_legacy",
            weighting="none_legacy",
        ),
    )
    weights = replace(before.loss, beta=1.2, gamma=3.0)
    soft = replace(before.diffusion, bound="tanh")
    after = replace(
        before,
        name="after",
        about="all three repairs: CT by its own z-score, soft clamp, weights",
        ct="legacy_masked_z_ct",
        diffusion=soft,
        loss=weights,
    )
    best = Arm(
        name="best",
        about="CT by the data set, velocity predicted, regions as target",
        ct="nnunet_ct",
        model=ModelSettings(),
        diffusion=DiffusionSettings(),
        loss=LossSettings(),
    )
    unbound = replace(after.diffusion, bound="none")
    pooled = ModelSettings(conditioning="pooled_legacy")
    masked_z: CtNormalization = "legacy_masked_z_ct"
    window: CtNormalization = "legacy_window_ct"

    def normalized(arm: Arm, name: str, about: str, ct: CtNormalization) -> Arm:
        return replace(arm, name=name, about=about, ct=ct)

    return (
        before,
        normalized(before, "normalization_only", "before, CT by its z-score", masked_z),
        replace(before, name="clamp_only", about="before, soft clamp", diffusion=soft),
        replace(
            before, name="weights_only", about="before, larger weights", loss=weights
        ),
        after,
        replace(
            after, name="after_no_clamp", about="after, no clamp", diffusion=unbound
        ),
        normalized(after, "after_window", "after, CT in a window -160..240", window),
        best,
        normalized(best, "best_minmax_ct", "best, CT in 0..1", "legacy_minmax_ct"),
        normalized(best, "best_masked_z_ct", "best, CT by its own z-score", masked_z),
        normalized(best, "best_window_ct", "best, CT in a window -160..240", window),
        replace(
            best, name="best_pooled", about="best, pooled conditioning", model=pooled
        ),
        replace(
            after, name="after_pooled", about="after, pooled conditioning", model=pooled
        ),
        *(_legacy_sampler(arm) for arm in (before, after, best)),
    )


def _legacy_sampler(arm: Arm) -> Arm:
    return replace(
        arm,
        name=f"{arm.name}_legacy_sampler",
        about=f"{arm.name}'s weights, drawn with the incident's sampler",
        diffusion=replace(arm.diffusion, sampler="ddpm_subsampled_legacy"),
        trained_as=arm.name,
    )


ARMS: dict[str, Arm] = {arm.name: arm for arm in _arms()}
