"""What a fusion training minimizes.

L = L_diff + lambda_roi * w(t) * (alpha (1 - S_brain) + beta (1 - S_bone) + gamma *
(Dice loss + cross-entropy)), each term a mean over a unit's voxels first and over the
batch after. L_diff is the squared error of the prediction; the rest looks at the image
that the prediction implies, so w(t) is alpha_bar: of a noisy image at a high level
little can be known. SSIM is never clamped at 0 here, for that would end its gradient
exactly where images are worst.

MONAI gives the Dice loss. The SSIM of torchmetrics and MONAI looks through whole
windows, so that what lies beside a region counts as the region: with them a perfect
copy of CT in bone scores 0.67, for its neighbour is MRI. Here a window sees the region
alone (tests hold it against torchmetrics where both should agree). The global SSIM is
the incident's own formula. Images are (b, 1, ...) with `...` y, x or z, y, x; masks are
alike, of 0 and 1 or bool.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from monai.losses import DiceLoss
from torch.nn import functional

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from normgate.families.fusion.diffusion import Diffusion
    from normgate.families.fusion.model import FusionModel
    from normgate.families.fusion.settings import LossSettings, Ssim, Target

SIGMA = 1.5
"""Of the local SSIM's Gaussian window, in pixels (Wang et al. 2004)."""
_REACH = 5
"""Of the window to each side, in pixels; so is that of torchmetrics."""
_C1, _C2 = 0.01**2, 0.03**2
_dice = DiceLoss(sigmoid=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a reference's values lie over a training's data, in normalized units."""

    low: float
    """0.5th percentile."""
    high: float
    """99.5th percentile."""

    def __post_init__(self) -> None:
        """Refuse a reference that does not vary.

        Raises:
            SettingsError: With both ends.
        """
        if not -math.inf < self.low < self.high < math.inf:
            raise SettingsError(
                f"a reference spans {self.low} to {self.high}, expected two numbers, "
                "the lower first; look whether its normalization leaves a constant"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Constants of a training, for the local SSIM."""

    mri: Span
    ct: Span


def training_loss(
    model: FusionModel,
    diffusion: Diffusion,
    settings: LossSettings,
    spans: Spans,
    batch: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts.

    Args:
        model: What is fitted.
        diffusion: What its predictions mean.
        settings: The weights and variants.
        spans: Of the references, for the local SSIM.
        batch: `condition` (b, c, ...) whose first channels are MRI and CT; `brain`,
            `bone`, `lesion` (b, 1, ...); `t` (b,), noise levels; `noise` (b, 1, ...);
            `lesion_known` (b,), where some units' lesions are unknown.

    Returns:
        A scalar, and the unweighted parts: diffusion, brain, bone, lesion, and
        zero_gradient, the share of voxels at which the bound stops the gradient.
    """
    condition, t_b = batch["condition"], batch["t"]
    mri, ct = condition[:, :1], condition[:, 1:2]
    truth = composed(settings.target, mri, ct, batch["brain"], batch["bone"])
    noisy = diffusion.noised(truth, batch["noise"], t_b)
    prediction = model(noisy, t_b, condition).float()
    target = diffusion.target(truth, batch["noise"], t_b)
    implied = diffusion.image(prediction, noisy, t_b)
    fused = diffusion.bounded(implied)
    parts_b = {
        "diffusion": _unit_means((prediction - target).square()),
        "brain": 1 - ssim(settings.ssim, fused, mri, batch["brain"], spans.mri),
        "bone": 1 - ssim(settings.ssim, fused, ct, batch["bone"], spans.ct),
        "lesion": lesion_loss(model.lesion(fused), batch["lesion"]),
    }
    if "lesion_known" in batch:
        parts_b["lesion"] = parts_b["lesion"] * batch["lesion_known"]
    loss = total(settings, parts_b, diffusion.weight(t_b))
    parts = {name: float(part.detach().mean()) for name, part in parts_b.items()}
    parts["zero_gradient"] = diffusion.zero_gradient_fraction(implied.detach())
    return loss, parts


def total(
    settings: LossSettings, parts_b: Mapping[str, Tensor], alpha_bar_b: Tensor
) -> Tensor:
    """Weigh the parts (b,) of each unit, and average over the batch."""
    regions = (
        settings.alpha * parts_b["brain"]
        + settings.beta * parts_b["bone"]
        + settings.gamma * parts_b["lesion"]
    )
    if settings.weighting == "alpha_bar":
        regions = regions * alpha_bar_b
    return (parts_b["diffusion"] + settings.lambda_roi * regions).mean()


def composed(
    target: Target, mri: Tensor, ct: Tensor, brain: Tensor, bone: Tensor
) -> Tensor:
    """The image to learn: a mean of both, or each where it knows more.

    Args:
        target: `roi_composite` is CT in bone, MRI in the brain, their mean elsewhere.
        mri: Normalized MRI.
        ct: Normalized CT.
        brain: Mask; bone goes before it where both are set.
        bone: Mask.
    """
    mean = (mri + ct) / 2
    if target == "average_legacy":
        return mean
    return torch.where(bone.bool(), ct, torch.where(brain.bool(), mri, mean))


def ssim(
    kind: Ssim, image: Tensor, reference: Tensor, mask: Tensor, span: Span
) -> Tensor:
    """Structural similarity (b,) inside a region, -1 to 1; 1 where it is empty."""
    if kind == "global_legacy":
        return global_ssim(image, reference, mask)
    return local_ssim(image, reference, mask, span)


def local_ssim(image: Tensor, reference: Tensor, mask: Tensor, span: Span) -> Tensor:
    """Mean over a region of the SSIM in a Gaussian window (Wang et al. 2004).

    A window's means, variances and covariance are those of the part of it that lies in
    the region. It lies within the slice, of volumes too: slices are farther apart than
    pixels, and a patch may have few. Values count from the span's low end, for SSIM is
    made for values from 0 up: of standardized values it calls an image and its
    negative alike, for both of its factors change their sign.

    Args:
        image: (b, 1, ...).
        reference: (b, 1, ...).
        mask: (b, 1, ...).
        span: Of the reference, a constant of the data set.

    Returns:
        (b,), -1 to 1; 1 where the region is empty.
    """
    # Autocast would take the convolutions of squares in half precision.
    with torch.autocast(image.device.type, enabled=False):
        inside = mask.float()
        a, b = ((x.float() - span.low) * inside for x in (image, reference))
        parts = _windowed(torch.stack([inside, a, b, a * a, b * b, a * b]))
        weight = parts[0].clamp(min=1e-6)
        mean, mean_ref, square, square_ref, product = parts[1:] / weight
        c1, c2 = ((k * (span.high - span.low)) ** 2 for k in (0.01, 0.03))
        spread = (square - mean * mean).clamp(min=0)
        spread_ref = (square_ref - mean_ref * mean_ref).clamp(min=0)
        each = (2 * mean * mean_ref + c1) / (mean * mean + mean_ref * mean_ref + c1)
        each = (
            each * (2 * (product - mean * mean_ref) + c2) / (spread + spread_ref + c2)
        )
    return _region_means(each, mask, empty=1.0)


def _windowed(stack: Tensor) -> Tensor:
    """Gaussian means around each pixel of slices (..., y, x), 0 beyond the edge."""
    offsets = torch.arange(-_REACH, _REACH + 1, device=stack.device)
    kernel = torch.exp(-offsets.square() / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    slices = stack.reshape(-1, 1, *stack.shape[-2:])
    rows = functional.conv2d(slices, kernel.reshape(1, 1, -1, 1), padding=(_REACH, 0))
    both = functional.conv2d(rows, kernel.reshape(1, 1, 1, -1), padding=(0, _REACH))
    return both.reshape(stack.shape)


def global_ssim(image: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """The incident's SSIM: one window, the whole region, as if data ranged over 1.

    Without its clamp to 0..1. Returns (b,); 1 where the region is empty.
    """
    mean, mean_ref = (_region_means(x, mask) for x in (image, reference))
    shape = (-1, *(1,) * (image.ndim - 1))
    off, off_ref = image - mean.reshape(shape), reference - mean_ref.reshape(shape)
    spread, spread_ref = (_region_means(x.square(), mask) for x in (off, off_ref))
    both = _region_means(off * off_ref, mask)
    found = (2 * mean * mean_ref + _C1) * (2 * both + _C2)
    found = found / (mean.square() + mean_ref.square() + _C1)
    return found / (spread + spread_ref + _C2)


def lesion_loss(logits: Tensor, lesion: Tensor) -> Tensor:
    """Dice loss plus cross-entropy (b,) of lesion logits (b, 1, ...).

    The Dice is smoothed by 1 voxel, so that a unit without lesion asks for none.
    """
    logits, lesion = logits.float(), lesion.float()
    dice: Tensor = _dice(logits, lesion)
    entropy = functional.binary_cross_entropy_with_logits(
        logits, lesion, reduction="none"
    )
    return _unit_means(dice) + _unit_means(entropy)


def _unit_means(x: Tensor) -> Tensor:
    return x.flatten(1).mean(dim=1)


def _region_means(x: Tensor, mask: Tensor, empty: float = 0.0) -> Tensor:
    """Means (b,) over each unit's region."""
    inside = mask.to(x.dtype).flatten(1)
    count = inside.sum(dim=1)
    mean = (x.flatten(1) * inside).sum(dim=1) / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.full_like(mean, empty))
