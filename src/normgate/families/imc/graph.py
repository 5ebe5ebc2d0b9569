"""Cell graphs: an autoencoder whose latent is the same for any order of the cells.

Graphs are padded to one number of cells: features (b, n, c), `mask` (b, n) of real
cells, `edges` (b, 2, e) of places of cells, -1 where there is none; `packed` holds all
three in one tensor. PyTorch Geometric's
GATv2 passes messages, sums and means over cells make the latent. The decoder gives
cells in an order of its own; the permuter (Winter et al. 2021, PIGVAE) brings them into
the input's by a soft sort of a score of each cell (Prillo and Eisenschlos 2020).

Axes: b graphs, n cells, c channels, e edges, d latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GATv2Conv

from normgate.families.imc.losses import divergence, weighted
from normgate.families.imc.model import Latent, gaussian
from normgate.families.imc.packed import unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.families.imc.settings import LossSettings, ModelSettings

HIDDEN = 64
_HEADS = 4
TEMPERATURE = 0.5
"""Of the soft sort, in units of the scores."""
_FAR = 1e9


class Nodes(NamedTuple):
    """Decoded cells, and how the permuter placed them."""

    cells_bnc: Tensor
    order_bnn: Tensor | None
    """Row: a cell of the input; column: a cell of the decoder. None without one."""
    own_bnc: Tensor
    """The decoder's cells, in its own order."""


class CellGraphModel(nn.Module):
    """An autoencoder of cell graphs.

    Args:
        settings: Of `arch: cell_graph`.
        channels: Of each cell.
    """

    def __init__(self, settings: ModelSettings, channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.first = nn.Sequential(nn.Linear(channels, HIDDEN), nn.GELU())
        self.messages = nn.ModuleList(
            GATv2Conv(HIDDEN, HIDDEN // _HEADS, heads=_HEADS) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(2))
        self.head = nn.Sequential(
            nn.Linear(2 * HIDDEN + 1, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, 2 * settings.latent),
        )
        self.score = nn.Linear(HIDDEN, 1) if settings.permuter == "softsort" else None
        self.decoder = nn.Sequential(
            nn.Linear(settings.latent + HIDDEN, 2 * HIDDEN),
            nn.LayerNorm(2 * HIDDEN),
            nn.GELU(),
            nn.Linear(2 * HIDDEN, 2 * HIDDEN),
            nn.LayerNorm(2 * HIDDEN),
            nn.GELU(),
            nn.Linear(2 * HIDDEN, channels),
        )

    def forward(self, packed_bnf: Tensor) -> tuple[Tensor, Tensor]:
        """Latent means (b, d) and reconstructed cells (b, n, c), padding 0."""
        batch = unpacked(packed_bnf)
        features = self.features(batch)
        mu = self.encode(features, batch["mask"]).mu
        cells = self.decode(mu, features, batch["mask"]).cells_bnc
        return mu, cells * batch["mask"][..., None]

    def features(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Each cell after its neighbours' messages, (b, n, 64)."""
        x = self.first(batch["units"])
        graphs, cells, _ = x.shape
        edges = _joined(batch["edges"], cells)
        flat = x.reshape(graphs * cells, HIDDEN)
        for layer, norm in zip(self.messages, self.norms, strict=True):
            flat = flat + functional.gelu(norm(layer(flat, edges)))
        features: Tensor = flat.reshape(graphs, cells, HIDDEN)
        return features

    def encode(self, features_bnh: Tensor, mask_bn: Tensor) -> Latent:
        """The Gaussian of each graph: of sum, mean and number of its cells."""
        weight = mask_bn.float()[..., None]
        total, count = (features_bnh * weight).sum(dim=1), weight.sum(dim=1)
        pooled = [total / count.clamp(min=1), total / 16, count.log1p()]
        both: Tensor = self.head(torch.cat(pooled, dim=1))
        return gaussian(self.settings.logvar, both)

    def decode(self, z_bd: Tensor, features_bnh: Tensor, mask_bn: Tensor) -> Nodes:
        """Cells from a latent, in the input's order where there is a permuter."""
        cells = mask_bn.shape[1]
        places = _places(cells, HIDDEN, z_bd.device).expand(len(z_bd), -1, -1)
        tiled = z_bd[:, None].expand(-1, cells, -1)
        decoded: Tensor = self.decoder(torch.cat([tiled, places], dim=2))
        if self.score is None:
            return Nodes(decoded, None, decoded)
        scores_bn = self.score(features_bnh).squeeze(2)
        order_bnn = soft_ranks(scores_bn, mask_bn)
        return Nodes(order_bnn @ decoded, order_bnn, decoded)


def graph_loss(
    model: CellGraphModel,
    settings: LossSettings,
    batch: Mapping[str, Tensor],
    done: float,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts; see `losses.training_loss`.

    Args:
        model: What is fitted.
        settings: The weights and variants; no gradient, for there is no grid.
        batch: `units` (b, n, c), normalized; `mask` (b, n); `edges` (b, 2, e); `noise`
            (b, d), standard.
        done: Share of all steps that is done.
    """
    features = model.features(batch)
    latent = model.encode(features, batch["mask"])
    nodes = model.decode(latent.sampled(batch["noise"]), features, batch["mask"])
    off = (nodes.cells_bnc - batch["units"]).square().mean(dim=2)
    cosine = 1 - functional.cosine_similarity(nodes.cells_bnc, batch["units"], dim=2)
    parts = {
        "mse": _over_cells(off, batch["mask"]),
        "cosine": _over_cells(cosine, batch["mask"]),
        "gradient": off.new_zeros(()),
        "perm": sharpness_loss(nodes.order_bnn, batch["mask"]),
    }
    return weighted(parts, divergence(latent, settings), settings, done)


def soft_ranks(scores_bn: Tensor, mask_bn: Tensor) -> Tensor:
    """Soft permutations (b, n, n) that place each cell at the rank of its score.

    Row i holds the probabilities of the ranks of cell i; padding comes last.
    """
    real = scores_bn.masked_fill(~mask_bn, -_FAR)
    ranked_bn = real.sort(dim=1, descending=True).values
    away = (real[:, :, None] - ranked_bn[:, None, :]).abs()
    # Two paddings are no distance apart, and keep one another's places.
    return functional.softmax(-away / TEMPERATURE, dim=2)


def entropy(shares: Tensor) -> Tensor:
    """-p log p, with a finite gradient at 0."""
    return -shares * shares.clamp(min=1e-9).log()


def sharpness_loss(order_bnn: Tensor | None, mask_bn: Tensor) -> Tensor:
    """Mean entropy of the permutations' rows and columns, nats, from 0 (PIGVAE)."""
    if order_bnn is None:
        return torch.zeros((), device=mask_bn.device)
    rows = entropy(order_bnn).sum(dim=2)
    shares = order_bnn / order_bnn.sum(dim=1, keepdim=True).clamp(min=1e-9)
    columns = entropy(shares).sum(dim=1)
    return _over_cells(rows + columns, mask_bn)


def _over_cells(each_bn: Tensor, mask_bn: Tensor) -> Tensor:
    """Mean over a graph's real cells, then over graphs."""
    weight = mask_bn.float()
    own = (each_bn * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return own.mean()


def _joined(edges_b2e: Tensor, cells: int) -> Tensor:
    """The edges of all graphs as those of one, without the padding: (2, e)."""
    first = cells * torch.arange(len(edges_b2e), device=edges_b2e.device)
    shifted = (edges_b2e + first[:, None, None]).transpose(0, 1).flatten(1)
    kept = (edges_b2e[:, 0] >= 0).flatten()
    return shifted[:, kept]


def _places(cells: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines (1, n, width) of a cell's rank."""
    rank = torch.arange(cells, device=device, dtype=torch.float32)[:, None]
    half = torch.arange(width // 2, device=device, dtype=torch.float32)
    angles = rank * torch.exp(-half * (torch.log(torch.tensor(1000.0)) / half.numel()))
    return torch.cat([angles.sin(), angles.cos()], dim=1)[None]
