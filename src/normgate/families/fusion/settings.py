"""What a user chooses about a fusion training, and its presets.

Options whose name says `legacy` repeat what an incident did; they are for its replay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from normgate.engine.settings import between, one_of
from normgate.errors import SettingsError

Size = Literal["demo", "small", "full"]
Conditioning = Literal["concat", "pooled_legacy"]
Mode = Literal["diffusion", "regression"]
Prediction = Literal["v", "x0", "eps_legacy"]
Sampler = Literal["ddim", "ddpm_subsampled_legacy"]
Bound = Literal["none", "tanh", "hard_legacy", "dynamic"]
Ssim = Literal["local", "global_legacy"]
Target = Literal["roi_composite", "average_legacy"]
Weighting = Literal["alpha_bar", "none_legacy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The network."""

    size: Size = "demo"
    """`demo` (102,945 parameters in 2D), or MONAI's networks: `small` (2,735,521 in
    2D), `full` (9,783,681 in 3D)."""
    dims: int = 2
    """2 for slices, 3 for patches of volumes."""
    conditioning: Conditioning = "concat"
    """How the network sees MRI and CT: as channels beside the noisy image, or pooled
    to one vector without any place, at demo size alone."""

    def __post_init__(self) -> None:
        """Refuse a network that can't be built.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        one_of("size", self.size, get_args(Size))
        one_of("conditioning", self.conditioning, get_args(Conditioning))
        if self.dims not in (2, 3):
            raise SettingsError(f"dims is {self.dims!r}, expected 2 or 3")
        if self.conditioning == "pooled_legacy" and self.size != "demo":
            raise SettingsError(
                f"conditioning is pooled_legacy at size {self.size}, expected size "
                "demo, for it exists for the replay alone; use concat"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """What the network predicts, and how an image is made of it."""

    mode: Mode = "diffusion"
    """`regression` predicts the fused image in one step, without noise."""
    prediction: Prediction = "v"
    """What the network predicts: velocity, the image, or the noise."""
    sampler: Sampler = "ddim"
    """`ddpm_subsampled_legacy` uses the coefficients of single steps on a schedule
    that leaves steps out, and diverges."""
    steps: int = 20
    """Steps of the sampler, 1 to `train_steps`."""
    train_steps: int = 1000
    """Noise levels of the cosine schedule."""
    bound: Bound = "none"
    """What keeps predicted images in range; `dynamic` at sampling alone."""
    bound_scale: float = 4.0
    """s of the bound `tanh`, s * tanh(x / s), in normalized units."""
    bound_low: float = -3.0
    """Lower end of the bound `hard_legacy`, in normalized units."""
    bound_high: float = 5.0
    """Upper end of the bound `hard_legacy`, in normalized units."""
    bound_quantile: float = 0.995
    """The bound `dynamic` clips each unit to its own quantiles 1 - q and q."""

    def __post_init__(self) -> None:
        """Refuse what can't be sampled.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        one_of("mode", self.mode, get_args(Mode))
        one_of("prediction", self.prediction, get_args(Prediction))
        one_of("sampler", self.sampler, get_args(Sampler))
        one_of("bound", self.bound, get_args(Bound))
        if type(self.train_steps) is not int or self.train_steps < 2:
            raise SettingsError(
                f"train_steps is {self.train_steps!r}, expected a number from 2"
            )
        if type(self.steps) is not int or not 1 <= self.steps <= self.train_steps:
            raise SettingsError(
                f"steps is {self.steps!r}, expected a number 1 to {self.train_steps}"
            )
        between("bound_scale", self.bound_scale, 1e-3, 1e6)
        between("bound_quantile", self.bound_quantile, 0.5, 1.0)
        if not -math.inf < self.bound_low < self.bound_high < math.inf:
            raise SettingsError(
                f"bound_low is {self.bound_low} and bound_high {self.bound_high}, "
                "expected two numbers, the lower first"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """L_diff + lambda_roi (alpha (1 - S_brain) + beta (1 - S_bone) + gamma lesion)."""

    alpha: float = 1.0
    """Weight of likeness with the MRI in the brain."""
    beta: float = 1.2
    """Weight of likeness with the CT in bone."""
    gamma: float = 3.0
    """Weight of the lesion's Dice loss and cross-entropy."""
    lambda_roi: float = 1.0
    """Weight of all three beside the diffusion loss."""
    ssim: Ssim = "local"
    """A Gaussian window (sigma 1.5 pixels), or one window for the whole region."""
    target: Target = "roi_composite"
    """The image to learn: CT in bone, MRI in the brain, their mean elsewhere; or the
    mean everywhere."""
    weighting: Weighting = "alpha_bar"
    """Whether the three are weighted by the share of signal at the noise level."""

    def __post_init__(self) -> None:
        """Refuse weights that are no weights.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        for name in ("alpha", "beta", "gamma", "lambda_roi"):
            between(name, getattr(self, name), 0.0, 1000.0)
        one_of("ssim", self.ssim, get_args(Ssim))
        one_of("target", self.target, get_args(Target))
        one_of("weighting", self.weighting, get_args(Weighting))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """How a training goes through its patches."""

    passes: int = 10
    """Passes over the training patches in one epoch, between two evaluations."""
    mirror: bool = True
    """Whether a training patch is mirrored left to right at random."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        if type(self.passes) is not int or not 1 <= self.passes <= 100_000:
            raise SettingsError(
                f"passes is {self.passes!r}, expected a number 1 to 100000"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What one clinical question asks of a fused image."""

    name: str
    """The registered model, too: `fusion-stroke`."""
    loss: LossSettings
    spec: str
    """File name of the default spec in `contracts/specs`."""
    contract: str
    """File name of the contract in `contracts`."""

    @property
    def model_name(self) -> str:
        """The registered model."""
        return f"fusion-{self.name}"


PRESETS: dict[str, Preset] = {
    "stroke": Preset(
        name="stroke",
        loss=LossSettings(),
        spec="fusion_mri_ct.json",
        contract="fusion_mri_ct.json",
    ),
}
