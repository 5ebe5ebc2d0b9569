"""What encodes grids to numbers and decodes latents to grids; `model` joins them.

Every encoder takes (b, c, h, w) and gives (b, out); every decoder takes (b, d) and
gives (b, c, h, w). Inside, nodes are (b, n, c), row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normgate.families.imc import symmetry

_NODE_HIDDEN, _NODE = 64, 24
_WIDTH = 192
_TOKEN = 64
_HEADS = 4
_LAYERS = 2


class NodeTrunk(nn.Module):
    """A small network at each node, then two layers over all of them together."""

    def __init__(self, channels: int, nodes: int) -> None:
        super().__init__()
        self.node = node_mlp(channels)
        self.trunk = nn.Sequential(
            nn.Linear(nodes * _NODE, _WIDTH),
            nn.LayerNorm(_WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.LayerNorm(_WIDTH),
            nn.GELU(),
        )

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Features (b, 192)."""
        features: Tensor = self.trunk(self.node(nodes_of(units_bchw)).flatten(1))
        return features


class NodeEncoder(nn.Module):
    """Knows each node's place."""

    def __init__(self, channels: int, nodes: int, out: int) -> None:
        super().__init__()
        self.trunk = NodeTrunk(channels, nodes)
        self.head = nn.Linear(_WIDTH, out)

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Encode."""
        encoded: Tensor = self.head(self.trunk(units_bchw))
        return encoded


class D4Encoder(nn.Module):
    """The same for all eight symmetries of a unit: the largest feature of any."""

    def __init__(self, channels: int, nodes: int, out: int) -> None:
        super().__init__()
        self.trunk = NodeTrunk(channels, nodes)
        self.head = nn.Sequential(
            nn.Linear(_WIDTH, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, out)
        )

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Encode."""
        features = self.trunk(symmetry.all_turned(units_bchw).flatten(0, 1))
        largest = features.reshape(len(units_bchw), symmetry.COUNT, -1).amax(dim=1)
        encoded: Tensor = self.head(largest)
        return encoded


class SetEncoder(nn.Module):
    """The incident's: a mean over nodes that do not know their place."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.node = nn.Sequential(node_mlp(channels), nn.GELU())
        self.head = nn.Sequential(
            nn.Linear(_NODE, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, out)
        )

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Encode."""
        encoded: Tensor = self.head(self.node(nodes_of(units_bchw)).mean(dim=1))
        return encoded


class TransformerEncoder(nn.Module):
    """A class token that attends to all nodes, whose places are learned."""

    def __init__(self, channels: int, nodes: int, out: int) -> None:
        super().__init__()
        self.token = nn.Linear(channels, _TOKEN)
        self.first = nn.Parameter(0.02 * torch.randn(1, 1, _TOKEN))
        self.place = nn.Parameter(0.02 * torch.randn(1, nodes, _TOKEN))
        self.layers = transformer()
        self.head = nn.Linear(_TOKEN, out)

    def forward(self, units_bchw: Tensor) -> Tensor:
        """Encode."""
        tokens = self.token(nodes_of(units_bchw)) + self.place
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1)
        encoded: Tensor = self.head(self.layers(tokens)[:, 0])
        return encoded


class NodeDecoder(nn.Module):
    """The mirror image of `NodeEncoder`."""

    def __init__(self, channels: int, side: int, latent: int) -> None:
        super().__init__()
        self.side = side
        self.trunk = nn.Sequential(
            nn.Linear(latent, _WIDTH),
            nn.LayerNorm(_WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.LayerNorm(_WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, side * side * _NODE),
        )
        self.node = nn.Sequential(
            nn.LayerNorm(_NODE),
            nn.GELU(),
            nn.Linear(_NODE, _NODE_HIDDEN),
            nn.GELU(),
            nn.Linear(_NODE_HIDDEN, channels),
        )

    def forward(self, z_bd: Tensor) -> Tensor:
        """Decode."""
        nodes = self.trunk(z_bd).reshape(len(z_bd), -1, _NODE)
        return grids_of(self.node(nodes), self.side)


class TransformerDecoder(nn.Module):
    """The latent at every node, with its place, through a transformer."""

    def __init__(self, channels: int, side: int, latent: int) -> None:
        super().__init__()
        self.side = side
        self.token = nn.Linear(latent, _TOKEN)
        self.place = nn.Parameter(0.02 * torch.randn(1, side * side, _TOKEN))
        self.layers = transformer()
        self.head = nn.Linear(_TOKEN, channels)

    def forward(self, z_bd: Tensor) -> Tensor:
        """Decode."""
        tokens = self.token(z_bd)[:, None] + self.place
        return grids_of(self.head(self.layers(tokens)), self.side)


def node_mlp(channels: int) -> nn.Sequential:
    """What each node goes through alone."""
    return nn.Sequential(
        nn.Linear(channels, _NODE_HIDDEN),
        nn.LayerNorm(_NODE_HIDDEN),
        nn.GELU(),
        nn.Linear(_NODE_HIDDEN, _NODE),
    )


def transformer() -> nn.TransformerEncoder:
    """Two layers of four heads, with a norm at the end."""
    layer = nn.TransformerEncoderLayer(
        _TOKEN,
        _HEADS,
        dim_feedforward=2 * _TOKEN,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    return nn.TransformerEncoder(
        layer, _LAYERS, norm=nn.LayerNorm(_TOKEN), enable_nested_tensor=False
    )


def nodes_of(units_bchw: Tensor) -> Tensor:
    """Grids as nodes (b, n, c), row by row."""
    return units_bchw.flatten(2).transpose(1, 2)


def grids_of(nodes_bnc: Tensor, side: int) -> Tensor:
    """Nodes as grids (b, c, side, side)."""
    graphs, _, channels = nodes_bnc.shape
    return nodes_bnc.transpose(1, 2).reshape(graphs, channels, side, side)
