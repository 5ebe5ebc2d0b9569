"""The networks of the IMC family on grids of nodes: variational autoencoders.

Normalized grids (b, c, h, w) become a Gaussian over a latent (b, d), and a latent
becomes grids again. Where the latent does not know how its grid lay, a permuter says
so: every reconstruction is given as candidates (b, k, c, h, w) with weights (b, k) that
sum to 1, one candidate for a network that needs none. Cell graphs are `graph`'s.

Axes: b batch, c channels, h rows and w columns of nodes, d latent, k candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from normgate.families.imc import symmetry
from normgate.families.imc.encoders import (
    D4Encoder,
    NodeDecoder,
    NodeEncoder,
    SetEncoder,
    TransformerDecoder,
    TransformerEncoder,
)

if TYPE_CHECKING:
    from normgate.families.imc.settings import Logvar, ModelSettings

LOGVAR = 10.0
"""Log variances are clamped to -10..10."""
REVIN_EPS = 1e-3
"""Added to a unit's own std, in normalized units: a flat channel stays flat."""


class Latent(NamedTuple):
    """A Gaussian over the latent, (b, d) each."""

    mu: Tensor
    logvar: Tensor

    def sampled(self, noise_bd: Tensor) -> Tensor:
        """A draw, given standard noise."""
        return self.mu + noise_bd * torch.exp(0.5 * self.logvar)


class Candidates(NamedTuple):
    """Reconstructions of each unit, and how likely each is the right one."""

    images_bkchw: Tensor
    weights_bk: Tensor
    choice_bk: Tensor | None = None
    """Probabilities of the eight symmetries; None where none is chosen."""

    def hard(self) -> Tensor:
        """The likeliest candidate (b, c, h, w): what a user gets."""
        best_b = self.weights_bk.argmax(dim=1)
        rows = torch.arange(len(best_b), device=best_b.device)
        return self.images_bkchw[rows, best_b]


class Grid(NamedTuple):
    """What a network is built for."""

    channels: int
    side: int
    """Rows and columns of nodes."""

    @property
    def nodes(self) -> int:
        """All nodes of one unit."""
        return self.side * self.side


class ImcModel(nn.Module):
    """An autoencoder of grids.

    Args:
        settings: Which encoder and permuter; not `cell_graph`.
        grid: Channels and side.
    """

    def __init__(self, settings: ModelSettings, grid: Grid) -> None:
        super().__init__()
        self.settings = settings
        self.grid = grid
        self.encoder = _encoder(settings, grid)
        self.decoder = _decoder(settings, grid)
        self.orientation = (
            OrientationHead(grid) if settings.permuter != "none" else None
        )
        if settings.revin:
            self.revin_in = nn.Linear(2 * grid.channels, 2 * settings.latent)
            self.revin_out = nn.Linear(settings.latent, 2 * grid.channels)

    def forward(self, units_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Latent means (b, d) and the likeliest reconstruction (b, c, h, w)."""
        latent = self.encode(units_bchw)
        return latent.mu, self.decode(latent.mu, units_bchw).hard()

    def encode(self, units_bchw: Tensor) -> Latent:
        """The Gaussian of each unit."""
        own: Tensor | float = 0.0
        if self.settings.revin:
            mean, std = _own_statistics(units_bchw)
            units_bchw = (units_bchw - mean) / std
            own = self.revin_in(torch.cat([mean, std.log()], dim=1).flatten(1))
        return gaussian(self.settings.logvar, self.encoder(units_bchw) + own)

    def decode(self, z_bd: Tensor, units_bchw: Tensor) -> Candidates:
        """Grids from a latent; the permuter alone looks at the units."""
        image = self.canonical(z_bd)
        if self.orientation is None:
            return one_candidate(image)
        choice_bk = functional.softmax(self.orientation(units_bchw), dim=1)
        every = symmetry.all_turned(image)
        if self.settings.permuter == "d4_mixture_legacy":
            mixed = torch.einsum("bk,bkchw->bchw", choice_bk, every)
            return one_candidate(mixed)._replace(choice_bk=choice_bk)
        return Candidates(every, choice_bk, choice_bk)

    def canonical(self, z_bd: Tensor) -> Tensor:
        """Grids (b, c, h, w) from a latent, in the decoder's own orientation."""
        image: Tensor = self.decoder(z_bd)
        if self.settings.revin:
            own = self.revin_out(z_bd)
            mean, spread = own.reshape(*own.shape, 1, 1).chunk(2, dim=1)
            image = image * spread.exp() + mean
        return image


class OrientationHead(nn.Module):
    """Scores (b, 8): how likely a unit is its canonical image under each symmetry.

    One network looks at the unit turned back by each symmetry, so that a turned unit
    has the same scores at turned places, exactly.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.nodes = nn.Sequential(
            nn.Linear(grid.channels, 32), nn.GELU(), nn.Linear(32, 12)
        )
        self.score = nn.Sequential(
            nn.Linear(12 * grid.nodes, 96),
            nn.LayerNorm(96),
            nn.GELU(),
            nn.Linear(96, 1),
        )

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Score units (b, c, s, s)."""
        back = torch.stack(
            [
                symmetry.turned(units_bchw, symmetry.inverse(k))
                for k in range(symmetry.COUNT)
            ],
            dim=1,
        )
        nodes = self.nodes(back.flatten(3).transpose(2, 3))
        scores: Tensor = self.score(nodes.flatten(2)).squeeze(2)
        return scores


def build(settings: ModelSettings, grid: Grid) -> ImcModel:
    """Make an untrained network; its weights follow from torch's random state."""
    return ImcModel(settings, grid)


def gaussian(logvar: Logvar, both_b2d: Tensor) -> Latent:
    """Mean and log variance from a last layer's output (b, 2 d)."""
    if logvar == "silu_legacy":
        both_b2d = functional.silu(both_b2d)
    mu, spread = both_b2d.chunk(2, dim=1)
    return Latent(mu, spread.clamp(-LOGVAR, LOGVAR))


def one_candidate(image_bchw: Tensor) -> Candidates:
    """The reconstruction of a network without a choice."""
    return Candidates(image_bchw[:, None], image_bchw.new_ones(len(image_bchw), 1))


def _own_statistics(units_bchw: Tensor) -> tuple[Tensor, Tensor]:
    mean = units_bchw.mean(dim=(2, 3), keepdim=True)
    spread = (units_bchw - mean).square().mean(dim=(2, 3), keepdim=True)
    return mean, spread.sqrt() + REVIN_EPS


def _encoder(settings: ModelSettings, grid: Grid) -> nn.Module:
    sizes = (grid.channels, grid.nodes, 2 * settings.latent)
    match settings.arch:
        case "cls_transformer":
            return TransformerEncoder(*sizes)
        case "d4":
            return D4Encoder(*sizes)
        case "set_legacy":
            return SetEncoder(grid.channels, 2 * settings.latent)
        case "node_mlp":
            return NodeEncoder(*sizes)
        case "cell_graph":
            raise AssertionError("a cell graph is built by normgate.families.imc.graph")


def _decoder(settings: ModelSettings, grid: Grid) -> nn.Module:
    if settings.arch == "cls_transformer":
        return TransformerDecoder(grid.channels, grid.side, settings.latent)
    return NodeDecoder(grid.channels, grid.side, settings.latent)
