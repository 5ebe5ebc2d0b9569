"""What a network of cell graphs makes of units: latents, cells, and how it sorted them.

Axes: u units, b graphs, n cells, c channels, d latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from normgate.families.imc.evaluate import AT_ONCE, Seen
from normgate.families.imc.packed import packed, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.families.imc.graph import CellGraphModel, Nodes
    from normgate.families.imc.units import ImcUnits


@torch.inference_mode()
def look_at_graphs(
    model: CellGraphModel, units: ImcUnits, at: NDArray[np.int64]
) -> Seen:
    """Show units of cells to a network, in evaluation mode.

    Returns:
        `permuted` has invariance_error, the mean difference of a latent when the cells
        come in the opposite order, and with a permuter perm_accuracy; see `_agreeing`.

    Raises:
        TypeError: The units are grids.
    """
    if units.joined is None:
        raise TypeError("units are grids, which have no cells")
    model.eval()
    device = next(model.parameters()).device
    found: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(at), AT_ONCE):
        some = at[start : start + AT_ONCE]
        whole = packed(units.images[some], units.joined[some]).to(device)
        for name, value in _one_look(model, whole).items():
            found.setdefault(name, []).append(value.double().cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    known = ("mu", "logvar", "images")
    rest = {k: float(x.mean()) for k, x in joined.items() if k not in known}
    return Seen(**{name: joined[name] for name in known}, permuted=rest)


def _one_look(
    model: CellGraphModel, packed_bnf: torch.Tensor
) -> dict[str, torch.Tensor]:
    batch = unpacked(packed_bnf)
    features = model.features(batch)
    latent = model.encode(features, batch["mask"])
    nodes = model.decode(latent.mu, features, batch["mask"])
    again = unpacked(_opposite(packed_bnf))
    other = model.encode(model.features(again), again["mask"])
    found = {
        "mu": latent.mu,
        "logvar": latent.logvar,
        "images": nodes.cells_bnc[batch["mask"]][:, :, None, None],
        "invariance_error": (other.mu - latent.mu).abs().mean(dim=1),
    }
    if nodes.order_bnn is not None:
        found["perm_accuracy"] = _agreeing(nodes, batch["units"], batch["mask"])
    return found


def _opposite(packed_bnf: torch.Tensor) -> torch.Tensor:
    """The same graphs, their cells from last to first."""
    channels = packed_bnf.shape[2] - packed_bnf.shape[1]
    cells, joined = packed_bnf[..., :channels], packed_bnf[..., channels:]
    return torch.cat([cells.flip(1), joined.flip(1, 2)], dim=2)


def _agreeing(
    nodes: Nodes, units_bnc: torch.Tensor, mask_bn: torch.Tensor
) -> torch.Tensor:
    """Of each real cell: whether its likeliest rank is the one that fits it best.

    Best is the assignment of real cells to the decoder's first ones of least squared
    error in all (the Hungarian method).
    """
    assert nodes.order_bnn is not None
    likeliest_bn = nodes.order_bnn.argmax(dim=2)
    agreeing = []
    for b, mask_n in enumerate(mask_bn):
        real = units_bnc[b][mask_n]
        errors = torch.cdist(real, nodes.own_bnc[b, : len(real)]).square()
        _, best = linear_sum_assignment(errors.cpu().numpy())
        agreeing.append(likeliest_bn[b][mask_n].cpu() == torch.from_numpy(best))
    return torch.cat(agreeing)
