"""What the network's prediction means: noise levels, images from predictions, bounds.

Noise level t goes from 0, nearly an image, to T - 1, nearly noise; alpha_bar(t) is the
share of signal power that is left (cosine schedule, Nichol and Dhariwal 2021). Images
x0 and noisy images x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise are
(b, 1, ...), levels t (b,). In the mode `regression` there is neither noise nor level:
the network sees zeros and level 0, and predicts the image.

MONAI gives the schedule. Its own `add_noise` and `get_velocity` are not used: they
convert the schedule for good to the dtype of what they are given, and that is half
precision once a batch came through autocast. Drawing images is left to `sampling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import torch
from monai.networks.schedulers import NoiseSchedules

if TYPE_CHECKING:
    from torch import Tensor

    from normgate.families.fusion.settings import DiffusionSettings


class Diffusion:
    """The arithmetic of one choice of prediction, schedule and bound.

    Args:
        settings: That choice.
    """

    def __init__(self, settings: DiffusionSettings) -> None:
        self.settings = settings
        schedule = NoiseSchedules["cosine"](num_train_timesteps=settings.train_steps)
        self.beta_t: Tensor = schedule[0]
        self.alpha_bar_t: Tensor = schedule[2]
        self.regression = settings.mode == "regression"

    def levels(self, count: int, generator: torch.Generator) -> Tensor:
        """Random levels (count,) for training, uniform; 0 in regression."""
        high = 1 if self.regression else self.settings.train_steps
        return torch.randint(high, (count,), generator=generator)

    def noised(self, image: Tensor, noise: Tensor, t_b: Tensor) -> Tensor:
        """The noisy image at each level; zeros in regression."""
        if self.regression:
            return torch.zeros_like(image)
        signal, spread = self._scales(t_b, image)
        return signal * image + spread * noise

    def target(self, image: Tensor, noise: Tensor, t_b: Tensor) -> Tensor:
        """What the network should predict (v: Salimans and Ho 2022)."""
        if self.regression:
            return image
        signal, spread = self._scales(t_b, image)
        match self.settings.prediction:
            case "v":
                return signal * noise - spread * image
            case "x0":
                return image
            case "eps_legacy":
                return noise
            case _ as unknown:
                assert_never(unknown)

    def image(self, prediction: Tensor, noisy: Tensor, t_b: Tensor) -> Tensor:
        """The image that a prediction implies, before any bound."""
        if self.regression:
            return prediction
        signal, spread = self._scales(t_b, noisy)
        match self.settings.prediction:
            case "v":
                return signal * noisy - spread * prediction
            case "x0":
                return prediction
            case "eps_legacy":
                return (noisy - spread * prediction) / signal
            case _ as unknown:
                assert_never(unknown)

    def noise(self, image: Tensor, noisy: Tensor, t_b: Tensor) -> Tensor:
        """The noise that, with an image, makes the noisy one."""
        signal, spread = self._scales(t_b, noisy)
        return (noisy - signal * image) / spread

    def weight(self, t_b: Tensor) -> Tensor:
        """alpha_bar at each level (b,): how much of an image a prediction can know."""
        if self.regression:
            return torch.ones_like(t_b, dtype=torch.float32)
        return self.alpha_bar_t.to(t_b.device)[t_b]

    def bounded(self, image: Tensor, *, sampling: bool = False) -> Tensor:
        """Keep a predicted image in range, as the settings say.

        Args:
            image: (b, 1, ...).
            sampling: Whether an image is being drawn; `dynamic` acts only then. It is
                the dynamic thresholding of Saharia et al. 2022 without their rescaling,
                for normalized images have no fixed range.
        """
        settings = self.settings
        match settings.bound:
            case "none":
                return image
            case "tanh":
                return settings.bound_scale * torch.tanh(image / settings.bound_scale)
            case "hard_legacy":
                return image.clamp(settings.bound_low, settings.bound_high)
            case "dynamic":
                return _clipped(image, settings.bound_quantile) if sampling else image
            case _ as unknown:
                assert_never(unknown)

    def zero_gradient_fraction(self, image: Tensor) -> float:
        """Share of voxels at which the bound's derivative is exactly 0 in training."""
        settings = self.settings
        if settings.bound == "hard_legacy":
            flat = (image < settings.bound_low) | (image > settings.bound_high)
        elif settings.bound == "tanh":
            flat = 1 - torch.tanh(image / settings.bound_scale).square() == 0
        else:
            return 0.0
        return float(flat.float().mean())

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The values that no fused image passes; None where there are none."""
        settings = self.settings
        if settings.bound == "tanh":
            return -settings.bound_scale, settings.bound_scale
        if settings.bound == "hard_legacy":
            return settings.bound_low, settings.bound_high
        return None

    def _scales(self, t_b: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Of signal and of noise at each level, shaped to multiply images."""
        alpha_bar = self.alpha_bar_t.to(t_b.device)[t_b]
        alpha_bar = alpha_bar.reshape(-1, *(1,) * (like.ndim - 1))
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def _clipped(image: Tensor, quantile: float) -> Tensor:
    """Clip each unit to its own quantiles 1 - q and q."""
    count = image[0].numel()
    values = image.flatten(1).sort(dim=1).values
    outside = min(int((1 - quantile) * count), (count - 1) // 2)
    shape = (-1, *(1,) * (image.ndim - 1))
    low = values[:, outside].reshape(shape)
    high = values[:, count - 1 - outside].reshape(shape)
    return image.clamp(low, high)
