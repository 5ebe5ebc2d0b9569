"""The arms of the incident's replay, as data: one training each.

`before` and `after` are what the incident's post-mortem had and prescribed; `dataset_z`
is `after` with constants of the data set instead of each image's own. The sweep asks
what a heavier KL term does, the last arms what a permuter learns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings

ArmNormalization = Literal["none", "image_z", "dataset_z", "global_z"]
"""Raw values; each image's own mean and std; the data set's for each channel; one mean
and std for all channels together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training of the replay."""

    name: str
    normalization: ArmNormalization
    model: ModelSettings
    loss: LossSettings
    turned: bool = False
    """Whether units are turned and mirrored at random, in training and evaluation."""
    about: str
    """What is done, in a few words."""

    @property
    def settings(self) -> ImcSettings:
        """Network and loss together."""
        return ImcSettings(model=self.model, loss=self.loss)


KLD_SCALES = (1e-3, 1e-2, 5e-2)
FREE_BITS = (0.25, 2.0)
"""Nats; with the heaviest KL term."""


def _incident() -> tuple[Arm, ...]:
    before = Arm(
        name="before",
        normalization="none",
        model=ModelSettings(),
        loss=LossSettings(
            kld_scale=1e-4,
            cosine=0.0,
            kl_reduction="mean_legacy",
            free_bits=0.5,
            free_bits_mode="elementwise_legacy",
            warmup=0.0,
        ),
        about="no normalization, KLD scale 1e-4, free bits 0.5",
    )
    kl = replace(before.loss, kld_scale=1e-3, free_bits=2.0)
    losses = replace(before.loss, cosine=0.5, gradient=1.0)
    after = replace(
        before,
        name="after",
        normalization="image_z",
        loss=replace(kl, cosine=0.5, gradient=1.0),
        about="as the post-mortem prescribed",
    )
    silu = replace(after.model, logvar="silu_legacy")
    return (
        before,
        replace(before, name="kl_only", loss=kl, about="before, KLD 1e-3, free bits 2"),
        replace(before, name="losses_only", loss=losses, about="before, cos and grad"),
        replace(
            before,
            name="image_z_only",
            normalization="image_z",
            about="before, each image standardized",
        ),
        after,
        replace(
            after,
            name="dataset_z",
            normalization="dataset_z",
            about="after, but constants of the data set",
        ),
        replace(
            after,
            name="global_z",
            normalization="global_z",
            about="after, but one constant for all channels",
        ),
        replace(
            after,
            name="after_silu",
            model=silu,
            about="after, with SiLU on the log variance as the original has",
        ),
    )


def _sweep() -> tuple[Arm, ...]:
    base = Arm(
        name="sweep",
        normalization="image_z",
        model=ModelSettings(),
        loss=LossSettings(gradient=1.0, warmup=0.0),
        about="after, KL summed over dimensions",
    )
    scaled = [
        replace(
            base,
            name=f"kld_{scale:g}",
            loss=replace(base.loss, kld_scale=scale),
            about=f"{base.about}, scale {scale:g}",
        )
        for scale in KLD_SCALES
    ]
    heavy = scaled[-1]
    floored = [
        replace(
            heavy,
            name=f"{heavy.name}_free_{bits:g}",
            loss=replace(heavy.loss, free_bits=bits),
            about=f"{heavy.about}, {bits:g} nats free",
        )
        for bits in FREE_BITS
    ]
    return (*scaled, *floored)


def _permuters() -> tuple[Arm, ...]:
    loss = LossSettings(kld_scale=1e-4, cosine=0.5, warmup=0.0)
    base = Arm(
        name="d4_none",
        normalization="dataset_z",
        model=ModelSettings(arch="d4"),
        loss=loss,
        turned=True,
        about="D4-invariant latent, nothing says how a unit lay",
    )
    expected = replace(
        base,
        name="d4_expectation",
        model=ModelSettings(arch="d4", permuter="d4"),
        about="D4-invariant latent, expectation of the errors",
    )
    return (
        replace(
            base,
            name="set_encoder",
            model=ModelSettings(arch="set_legacy"),
            about="an encoder that knows no place, as the original",
        ),
        base,
        replace(
            base,
            name="d4_mixture",
            model=ModelSettings(arch="d4", permuter="d4_mixture_legacy"),
            about="D4-invariant latent, error of a mixture of all eight",
        ),
        expected,
        replace(
            expected,
            name="d4_perm_weight",
            loss=replace(loss, perm=1.0),
            about="the expectation, with permutation loss 1",
        ),
        replace(
            base,
            name="plain_turned",
            model=ModelSettings(),
            about="the plain encoder on units that are turned",
        ),
    )


ARMS: dict[str, Arm] = {
    arm.name: arm for arm in (*_incident(), *_sweep(), *_permuters())
}
