"""What a user chooses about an IMC training.

Options whose name says `legacy` repeat what an incident did; they are for its replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from normgate.engine.settings import between, one_of
from normgate.errors import SettingsError

Arch = Literal["node_mlp", "cls_transformer", "d4", "cell_graph", "set_legacy"]
Permuter = Literal["none", "d4", "softsort", "d4_mixture_legacy"]
Logvar = Literal["linear", "silu_legacy"]
Reduction = Literal["sum", "mean_legacy"]
FreeBits = Literal["kingma", "elementwise_legacy"]

PERMUTERS: dict[Arch, tuple[Permuter, ...]] = {
    "node_mlp": ("none",),
    "cls_transformer": ("none",),
    "d4": ("d4", "none", "d4_mixture_legacy"),
    "cell_graph": ("softsort", "none"),
    "set_legacy": ("none",),
}
"""The permuters that each encoder can have, its default first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The network."""

    arch: Arch = "node_mlp"
    """`node_mlp` (447,080 parameters at 36 nodes of 128 channels); `cls_transformer`
    (161,664), which needs far more steps; `d4` (530,517), whose latent is the same for
    all eight symmetries of the square; `cell_graph`, whose latent is the same for any
    order of the cells; `set_legacy`, an encoder that does not know where nodes lie."""
    permuter: Permuter = "none"
    """What brings the reconstruction into the input's order, where the latent does not
    know it: one of eight symmetries, or a soft sort of the nodes."""
    latent: int = 32
    """Dimensions of the latent."""
    logvar: Logvar = "linear"
    """`silu_legacy` sends mean and log variance through SiLU, which keeps every
    standard deviation above 0.87."""
    revin: bool = False
    """Whether each unit's own mean and std of each channel is taken off before the
    encoder and handed to it beside (RevIN), so that nothing is lost."""

    def __post_init__(self) -> None:
        """Refuse a network that can't be built.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        one_of("arch", self.arch, get_args(Arch))
        one_of("permuter", self.permuter, get_args(Permuter))
        one_of("logvar", self.logvar, get_args(Logvar))
        if self.permuter not in PERMUTERS[self.arch]:
            raise SettingsError(
                f"permuter is {self.permuter}, but arch {self.arch} can have "
                f"{' or '.join(PERMUTERS[self.arch])}"
            )
        if type(self.latent) is not int or not 1 <= self.latent <= 4096:
            raise SettingsError(
                f"latent is {self.latent!r}, expected a number 1 to 4096"
            )
        if self.revin and self.arch == "cell_graph":
            raise SettingsError(
                "revin is on, but a cell graph's cells are one measurement each; use "
                "it with a grid, or leave it off"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """MSE + cosine + gradient + perm + kld_scale * KL, each but the first by weight."""

    kld_scale: float = 1e-4
    """Weight of the KL divergence in nats."""
    cosine: float = 0.5
    """Weight of 1 - cosine between a node and its reconstruction."""
    gradient: float = 0.0
    """Weight of the absolute error of differences between neighbours; an L1 on noise,
    which pulls images flat."""
    perm: float = 0.0
    """Weight of the permuter's loss in nats; only with a permuter."""
    kl_reduction: Reduction = "sum"
    """Over latent dimensions; `mean_legacy` divides the weight by their number."""
    free_bits: float = 0.0
    """Nats of each latent dimension that are not charged."""
    free_bits_mode: FreeBits = "kingma"
    """Where the floor lies: under the batch's mean KL of a dimension, or under each
    unit's, which has no gradient below it."""
    warmup: float = 0.1
    """Share of all steps over which `kld_scale` rises from 0, 0 to 1."""

    def __post_init__(self) -> None:
        """Refuse weights that are no weights.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        for name in ("kld_scale", "cosine", "gradient", "perm", "free_bits"):
            between(name, getattr(self, name), 0.0, 1000.0)
        between("warmup", self.warmup, 0.0, 1.0)
        one_of("kl_reduction", self.kl_reduction, get_args(Reduction))
        one_of("free_bits_mode", self.free_bits_mode, get_args(FreeBits))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImcSettings:
    """A network and what it minimizes, seen together."""

    model: ModelSettings
    """The network."""
    loss: LossSettings
    """What it minimizes."""

    def __post_init__(self) -> None:
        """Refuse a weight that would weigh nothing.

        Raises:
            SettingsError: With the weight and what it lacks.
        """
        if self.loss.perm > 0 and self.model.permuter == "none":
            raise SettingsError(
                f"perm is {self.loss.perm:g}, but permuter none has no permutation to "
                "weigh, so it would change nothing; choose a permuter, or set perm to 0"
            )
        if self.loss.gradient > 0 and self.model.arch == "cell_graph":
            raise SettingsError(
                f"gradient is {self.loss.gradient:g}, but a cell graph has no grid "
                "whose neighbours differ; set gradient to 0"
            )
