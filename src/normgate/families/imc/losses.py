"""What an IMC training minimizes.

L = MSE + cosine * C + gradient * G + perm * P + kld_scale * KL. MSE, C and G are means
over a unit, taken for each candidate reconstruction and then averaged by the
candidates' weights: the expectation of the error, not the error of a mixture, which a
blur of all eight would win. KL and P are in nats.

Axes: b batch, k candidates, c channels, h rows and w columns of nodes, d latent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from normgate.families.imc import symmetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.families.imc.model import Candidates, ImcModel, Latent
    from normgate.families.imc.settings import LossSettings

WEIGHTS = ("cosine", "gradient", "perm", "kld_scale")
"""The settings that weigh a term."""


class KL(NamedTuple):
    """A batch's divergence from the prior, in nats."""

    reported: Tensor
    """As reduction and free bits make it: what is minimized."""
    true: Tensor
    """The sum over dimensions, without any floor."""


def training_loss(
    model: ImcModel,
    settings: LossSettings,
    batch: Mapping[str, Tensor],
    done: float,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts.

    Args:
        model: What is fitted.
        settings: The weights and variants.
        batch: `units` (b, c, h, w), normalized; `noise` (b, d), standard.
        done: Share of all steps that is done.

    Returns:
        A scalar, and the unweighted parts: mse, cosine, gradient, perm, kl_reported
        and kl_true.
    """
    latent = model.encode(batch["units"])
    candidates = model.decode(latent.sampled(batch["noise"]), batch["units"])
    parts = {
        **image_terms(candidates, batch["units"]),
        "perm": permutation_loss(candidates),
    }
    return weighted(parts, divergence(latent, settings), settings, done)


def weighted(
    parts: Mapping[str, Tensor], kl: KL, settings: LossSettings, done: float
) -> tuple[Tensor, dict[str, float]]:
    """Weigh the parts of a batch, and record them unweighted."""
    rise = min(1.0, done / settings.warmup) if settings.warmup > 0 else 1.0
    loss = parts["mse"] + settings.kld_scale * rise * kl.reported
    for name in ("cosine", "gradient", "perm"):
        if getattr(settings, name) > 0:
            loss = loss + getattr(settings, name) * parts[name]
    record = {name: float(part.detach()) for name, part in parts.items()}
    record["kl_reported"] = float(kl.reported.detach())
    record["kl_true"] = float(kl.true.detach())
    return loss, record


def image_terms(candidates: Candidates, units_bchw: Tensor) -> dict[str, Tensor]:
    """MSE, cosine and gradient term, each the expectation over the candidates."""
    images, truth = candidates.images_bkchw, units_bchw[:, None]
    off = images - truth
    terms_bk = {
        "mse": off.square().mean(dim=(2, 3, 4)),
        "cosine": 1 - functional.cosine_similarity(images, truth, dim=2).mean((2, 3)),
        "gradient": off.diff(dim=3).abs().mean((2, 3, 4))
        + off.diff(dim=4).abs().mean((2, 3, 4)),
    }
    return {
        name: (candidates.weights_bk * term).sum(dim=1).mean()
        for name, term in terms_bk.items()
    }


def permutation_loss(candidates: Candidates) -> Tensor:
    """How unevenly a batch uses the symmetries: log 8 - H(mean p), nats, from 0.

    It balances the use of the eight; it is no measure of accuracy.
    """
    if candidates.choice_bk is None:
        return candidates.weights_bk.new_zeros(())
    mean_k = candidates.choice_bk.mean(dim=0)
    unused: Tensor = torch.special.xlogy(mean_k, mean_k).sum()
    return math.log(symmetry.COUNT) + unused


def divergence(latent: Latent, settings: LossSettings) -> KL:
    """KL(q || N(0, 1)) of a batch, per dimension in nats, floored and reduced.

    `kingma` is the floor of Kingma et al. 2016 (IAF): sum_d max(f, mean_b KL_bd).
    `elementwise_legacy` is mean_b sum_d max(KL_bd, f), whose gradient is 0 below f.
    """
    mu, logvar = latent
    kl_bd = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
    if settings.free_bits_mode == "elementwise_legacy":
        floored_d = kl_bd.clamp(min=settings.free_bits).mean(dim=0)
    else:
        floored_d = kl_bd.mean(dim=0).clamp(min=settings.free_bits)
    legacy = settings.kl_reduction == "mean_legacy"
    return KL(
        reported=floored_d.mean() if legacy else floored_d.sum(),
        true=kl_bd.mean(dim=0).sum(),
    )
