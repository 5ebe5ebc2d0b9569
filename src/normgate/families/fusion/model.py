"""The networks of the fusion family.

A noisy image (b, 1, ...), its noise level t (b,) and the condition (b, c, ...), which
is MRI and CT as normalized, give a prediction (b, 1, ...); a lesion head gives logits
(b, 1, ...) from a fused image. `...` is y, x or z, y, x. What a prediction means is
left to `diffusion`.

`demo` is a small U-Net (102,945 parameters with two conditions in 2D); `small` and
`full` are MONAI's DiffusionModelUNet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from normgate.families.fusion.settings import ModelSettings

WIDTH = 16
EMBEDDED = 32
"""Length of the demo's embedding of the noise level."""
LESION_WIDTH = 16

_GROUPS = 8


class FusionModel(nn.Module):
    """A network that denoises and one that finds lesions in what it made.

    Args:
        settings: Which network.
        conditions: Channels of the condition.
    """

    def __init__(self, settings: ModelSettings, conditions: int) -> None:
        super().__init__()
        self.network = _network(settings, conditions)
        self.lesion_head = lesion_head(settings.dims)

    def forward(self, noisy: Tensor, t_b: Tensor, condition: Tensor) -> Tensor:
        """Predict, from a noisy image (b, 1, ...), what `diffusion` asked for."""
        prediction: Tensor = self.network(noisy, t_b, condition)
        return prediction

    def lesion(self, fused: Tensor) -> Tensor:
        """Logits (b, 1, ...) of lesion in a fused image (b, 1, ...)."""
        logits: Tensor = self.lesion_head(fused)
        return logits


def build(settings: ModelSettings, conditions: int) -> FusionModel:
    """Make an untrained network; its weights follow from torch's random state."""
    return FusionModel(settings, conditions)


def _network(settings: ModelSettings, conditions: int) -> nn.Module:
    if settings.size != "demo":
        return Monai(settings, conditions)
    if settings.conditioning == "pooled_legacy":
        return PooledUNet(settings.dims, conditions)
    return DemoUNet(settings.dims, 1 + conditions)


def convolution(dims: int) -> Callable[..., nn.Module]:
    """The layer of so many dimensions."""
    return nn.Conv2d if dims == 2 else nn.Conv3d


def lesion_head(dims: int) -> nn.Sequential:
    """Four convolutions (5, then 3 dilated by 2 and by 4, then 1): 5,137 in 2D."""
    conv = convolution(dims)
    w = LESION_WIDTH
    return nn.Sequential(
        conv(1, w, kernel_size=5, padding=2),
        nn.GroupNorm(_GROUPS, w),
        nn.SiLU(),
        conv(w, w, kernel_size=3, padding=2, dilation=2),
        nn.GroupNorm(_GROUPS, w),
        nn.SiLU(),
        conv(w, w, kernel_size=3, padding=4, dilation=4),
        nn.SiLU(),
        conv(w, 1, kernel_size=1),
    )


class Residual(nn.Module):
    """Two convolutions around the noise level's bias, added to what came in."""

    def __init__(self, dims: int, before: int, after: int) -> None:
        super().__init__()
        conv = convolution(dims)
        self.norm_in = nn.GroupNorm(_GROUPS, before)
        self.conv_in = conv(before, after, kernel_size=3, padding=1)
        self.level = nn.Linear(EMBEDDED, after)
        self.norm_out = nn.GroupNorm(_GROUPS, after)
        self.conv_out = conv(after, after, kernel_size=3, padding=1)
        self.skip = (
            conv(before, after, kernel_size=1) if before != after else nn.Identity()
        )

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Transform x (b, c, ...) at a noise level (b, 32)."""
        hidden = self.conv_in(functional.silu(self.norm_in(x)))
        hidden = hidden + _spread(self.level(functional.silu(embedded)), hidden)
        result: Tensor = self.conv_out(functional.silu(self.norm_out(hidden)))
        skipped: Tensor = self.skip(x)
        return result + skipped


class DemoUNet(nn.Module):
    """Three scales of 16, 32 and 32 channels; any size of image.

    Args:
        dims: 2 or 3.
        channels: Of the noisy image and the condition together.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        conv, w = convolution(dims), WIDTH
        self.embed = nn.Sequential(
            nn.Linear(EMBEDDED, EMBEDDED), nn.SiLU(), nn.Linear(EMBEDDED, EMBEDDED)
        )
        self.first = conv(channels, w, kernel_size=3, padding=1)
        self.fine = Residual(dims, w, w)
        self.down = conv(w, 2 * w, kernel_size=3, padding=1, stride=2)
        self.middle = Residual(dims, 2 * w, 2 * w)
        self.down_again = conv(2 * w, 2 * w, kernel_size=3, padding=1, stride=2)
        self.coarse = Residual(dims, 2 * w, 2 * w)
        self.up = Residual(dims, 4 * w, 2 * w)
        self.up_again = Residual(dims, 3 * w, w)
        self.last = nn.Sequential(
            nn.GroupNorm(_GROUPS, w),
            nn.SiLU(),
            conv(w, 1, kernel_size=3, padding=1),
        )

    def forward(
        self, noisy: Tensor, t_b: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Predict; the condition is joined as channels where there is one."""
        x = noisy if condition is None else torch.cat([noisy, condition], dim=1)
        return self.denoise(x, self.embed(sinusoid(t_b, EMBEDDED)))

    def denoise(self, x: Tensor, embedded: Tensor) -> Tensor:
        """The U-Net itself, given the embedding (b, 32)."""
        fine = self.fine(self.first(x), embedded)
        middle = self.middle(self.down(fine), embedded)
        coarse = self.coarse(self.down_again(middle), embedded)
        up = self.up(_joined(coarse, middle), embedded)
        result: Tensor = self.last(self.up_again(_joined(up, fine), embedded))
        return result


class PooledUNet(nn.Module):
    """The incident's conditioning: each image pooled to a vector that has no place.

    Three strided convolutions and a global average for each of MRI and CT; the vectors
    are added to the embedding of the noise level.
    """

    def __init__(self, dims: int, conditions: int) -> None:
        super().__init__()
        self.unet = DemoUNet(dims, 1)
        self.encoders = nn.ModuleList(_encoder(dims) for _ in range(conditions))
        self.mix = nn.Linear(conditions * EMBEDDED, EMBEDDED)

    def forward(self, noisy: Tensor, t_b: Tensor, condition: Tensor) -> Tensor:
        """Predict, with the condition in the embedding alone."""
        pooled = [
            encoder(condition[:, index : index + 1]).flatten(2).mean(dim=2)
            for index, encoder in enumerate(self.encoders)
        ]
        level = self.unet.embed(sinusoid(t_b, EMBEDDED))
        return self.unet.denoise(noisy, level + self.mix(torch.cat(pooled, dim=1)))


class Monai(nn.Module):
    """MONAI's DiffusionModelUNet, padded to what its strides divide."""

    def __init__(self, settings: ModelSettings, conditions: int) -> None:
        super().__init__()
        from monai.networks.nets import DiffusionModelUNet

        small = settings.size == "small"
        widths = (32, 64, 128) if small else (64, 128)
        self.unet = DiffusionModelUNet(
            spatial_dims=settings.dims,
            in_channels=1 + conditions,
            out_channels=1,
            channels=widths,
            attention_levels=(False, False, True) if small else (False, False),
            num_res_blocks=1 if small else 2,
            num_head_channels=32,
            norm_num_groups=32,
        )
        self.factor = 2 ** (len(widths) - 1)

    def forward(self, noisy: Tensor, t_b: Tensor, condition: Tensor) -> Tensor:
        """Predict; the condition is joined as channels."""
        x = torch.cat([noisy, condition], dim=1)
        sizes = x.shape[2:]
        missing = [-size % self.factor for size in sizes]
        if any(missing):
            ends = [end for more in reversed(missing) for end in (0, more)]
            x = functional.pad(x, ends, mode="replicate")
        result: Tensor = self.unet(x, timesteps=t_b)
        for axis, size in enumerate(sizes, start=2):
            result = result.narrow(axis, 0, size)
        return result


def sinusoid(t_b: Tensor, length: int) -> Tensor:
    """Sines and cosines (b, length) of noise levels (Vaswani et al. 2017)."""
    half = length // 2
    powers = torch.arange(half, device=t_b.device, dtype=torch.float32) / half
    angles = t_b.float()[:, None] * torch.exp(-math.log(10_000.0) * powers)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _encoder(dims: int) -> nn.Sequential:
    conv = convolution(dims)
    layers: list[nn.Module] = []
    for before, after in ((1, WIDTH), (WIDTH, EMBEDDED), (EMBEDDED, EMBEDDED)):
        layers += [conv(before, after, kernel_size=3, padding=1, stride=2), nn.SiLU()]
    return nn.Sequential(*layers)


def _spread(bias_bc: Tensor, like: Tensor) -> Tensor:
    return bias_bc.reshape(*bias_bc.shape, *(1,) * (like.ndim - 2))


def _joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """The coarse image enlarged to the fine one, beside it."""
    enlarged = functional.interpolate(coarse, size=fine.shape[2:], mode="nearest")
    return torch.cat([enlarged, fine], dim=1)
