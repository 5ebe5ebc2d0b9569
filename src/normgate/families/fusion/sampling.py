"""Drawing fused images, and a test of the sampler that needs no training.

DDIM (Song et al. 2021) goes from level to level by what the levels themselves say. Its
levels begin with the last (Lin et al. 2024), so that it starts in noise; where noise is
predicted they begin below it as in the paper itself, for in pure noise a prediction of
the noise says nothing of the image, and what it implies is off ten thousandfold.
MONAI's `DDIMScheduler` isn't used: it steps to level t - T // n although its levels lie
(T - 1) / (n - 1) apart, so that each step lands beside the next one's level. With few
steps that costs quality (a test shows it).

A unit's noise follows from its own key, never from the batch that it came in. Images
are (b, 1, ...), levels (b,); a denoiser takes both and gives the prediction that the
diffusion's settings name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normgate.families.fusion.diffusion import Diffusion

if TYPE_CHECKING:
    from normgate.families.fusion.model import FusionModel
    from normgate.families.fusion.settings import DiffusionSettings

Denoiser = Callable[[Tensor, Tensor], Tensor]

ORACLE_MODES = (-1.0, 2.0)
"""Where the two Gaussians of the oracle test lie."""
ORACLE_SD = 0.1
_ORACLE_SIDE = 64


class UnitNoise:
    """Standard normal noise for some units, the same each time for the same keys.

    Args:
        keys: What names each unit.
        shape: Of one unit: (1, ...).
        device: Where the noise goes; it is drawn on CPU.
        seed: Another gives other noise.
    """

    def __init__(
        self,
        keys: Sequence[str],
        shape: Sequence[int],
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self._shape, self._device = tuple(shape), device
        self._generators = [
            torch.Generator().manual_seed(_seed_of(f"{seed}/{key}")) for key in keys
        ]

    def draw(self) -> Tensor:
        """The next noise (b, 1, ...) of each unit."""
        drawn = [torch.randn(self._shape, generator=g) for g in self._generators]
        return torch.stack(drawn).to(self._device)


@torch.no_grad()
def fuse(
    model: FusionModel,
    diffusion: Diffusion,
    condition: Tensor,
    keys: Sequence[str],
    seed: int = 0,
) -> Tensor:
    """Fuse units, the same each time.

    Args:
        model: In evaluation mode.
        diffusion: What its predictions mean.
        condition: MRI and CT (b, c, ...), normalized, on the model's device.
        keys: What names each unit; its noise follows from it.
        seed: Another gives another sample.

    Returns:
        Fused images (b, 1, ...), float32.
    """
    noise = UnitNoise(keys, (1, *condition.shape[2:]), condition.device, seed)
    return sample(lambda x, t: model(x, t, condition), diffusion, noise)


def sample(denoiser: Denoiser, diffusion: Diffusion, noise: UnitNoise) -> Tensor:
    """Draw images (b, 1, ...) by the sampler of the diffusion's settings."""
    noisy = noise.draw()
    if diffusion.regression:
        level = torch.zeros(len(noisy), dtype=torch.long, device=noisy.device)
        found = denoiser(torch.zeros_like(noisy), level).float()
        return diffusion.bounded(found, sampling=True)
    if diffusion.settings.sampler == "ddim":
        return _ddim(denoiser, diffusion, noisy)
    return _ddpm_subsampled(denoiser, diffusion, noisy, noise)


def levels(settings: DiffusionSettings) -> list[int]:
    """The levels that DDIM visits, downwards and evenly spaced."""
    total, steps = settings.train_steps, settings.steps
    if settings.prediction == "eps_legacy":
        return [total * k // steps for k in range(steps - 1, -1, -1)]
    return [round(total * k / steps) - 1 for k in range(steps, 0, -1)]


def _ddim(denoiser: Denoiser, diffusion: Diffusion, noisy: Tensor) -> Tensor:
    """Deterministic DDIM, equation 12 with eta 0; the last step ends in the image.

    The noise is taken from the bounded image, so that both make the noisy one.
    """
    visited = levels(diffusion.settings)
    image = noisy
    for level, following in zip(visited, [*visited[1:], None], strict=True):
        t_b = torch.full((len(noisy),), level, device=noisy.device)
        image = diffusion.image(denoiser(noisy, t_b).float(), noisy, t_b)
        image = diffusion.bounded(image, sampling=True)
        if following is not None:
            noise = diffusion.noise(image, noisy, t_b)
            noisy = diffusion.noised(image, noise, torch.full_like(t_b, following))
    return image


def _ddpm_subsampled(
    denoiser: Denoiser, diffusion: Diffusion, noisy: Tensor, noise: UnitNoise
) -> Tensor:
    """The incident's sampler, faults included.

    It leaves levels out, yet removes and adds as much noise as a step of one level
    does; it begins below the last level; and the bound acts on the noisy image.
    """
    settings = diffusion.settings
    stride = settings.train_steps // settings.steps
    visited = list(range(0, settings.train_steps, stride))[: settings.steps]
    for level in reversed(visited):
        t_b = torch.full((len(noisy),), level, device=noisy.device)
        image = diffusion.image(denoiser(noisy, t_b).float(), noisy, t_b)
        removed = diffusion.noise(image, noisy, t_b)
        beta, alpha_bar = diffusion.beta_t[level], diffusion.alpha_bar_t[level]
        share = float(beta / (1 - alpha_bar).sqrt())
        noisy = (noisy - share * removed) / float((1 - beta).sqrt())
        if level > 0:
            noisy = noisy + float(beta.sqrt()) * noise.draw()
        noisy = diffusion.bounded(noisy, sampling=True)
    return noisy


def oracle_share(settings: DiffusionSettings, seed: int = 0) -> float:
    """How well the sampler samples when the network is perfect.

    The data are a mixture of two Gaussians, for which the exact posterior mean of the
    image is known; it stands in for the network. A sampler that works leaves 99.7 % of
    4,096 samples within 3 sd of a mode.

    Args:
        settings: The sampler, steps, schedule and prediction; the bound is left out.
        seed: Of the noise.

    Returns:
        The share of samples within 3 sd of a mode; NaN in regression, which has none.
    """
    if settings.mode == "regression":
        return float("nan")
    diffusion = Diffusion(replace(settings, bound="none"))
    shape = (1, _ORACLE_SIDE, _ORACLE_SIDE)
    noise = UnitNoise(["oracle"], shape, torch.device("cpu"), seed)

    def denoiser(noisy: Tensor, t_b: Tensor) -> Tensor:
        image = _posterior_mean(noisy, diffusion.weight(t_b))
        return diffusion.target(image, diffusion.noise(image, noisy, t_b), t_b)

    drawn = sample(denoiser, diffusion, noise)
    modes = torch.tensor(ORACLE_MODES)
    distance = (drawn[..., None] - modes).abs().amin(dim=-1)
    return float((distance < 3 * ORACLE_SD).float().mean())


def _posterior_mean(noisy: Tensor, alpha_bar: Tensor) -> Tensor:
    """E[x0 | x_t] of the mixture, by Bayes' rule for each Gaussian and their odds."""
    modes = torch.tensor(ORACLE_MODES)
    signal = alpha_bar.sqrt()
    variance = alpha_bar * ORACLE_SD**2 + 1 - alpha_bar
    miss = noisy[..., None] - signal * modes
    odds = torch.softmax(-miss.square() / (2 * variance), dim=-1)
    means = modes + signal * ORACLE_SD**2 / variance * miss
    return (odds * means).sum(dim=-1)


def _seed_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
