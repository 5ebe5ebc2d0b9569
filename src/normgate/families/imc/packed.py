"""Units of cells as one tensor (b, n, c + n), for bundles and for batches.

Each cell has its channels, then which cells it is joined to. A real cell is joined to
itself and padding to nothing, so that this one table tells mask and edges.

Axes: b graphs, n cells, c channels, e edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed(images_bcn1: NDArray[Any], joined_bnn: NDArray[np.bool_]) -> Tensor:
    """Units of `ImcUnits`, packed."""
    cells_bnc = images_bcn1[..., 0].transpose(0, 2, 1)
    both = np.concatenate([cells_bnc, joined_bnn], axis=2, dtype=np.float32)
    return torch.from_numpy(both)


def unpacked(packed_bnf: Tensor) -> dict[str, Tensor]:
    """What `graph.graph_loss` takes: `units`, `mask` and `edges`."""
    cells = packed_bnf.shape[1]
    channels = packed_bnf.shape[2] - cells
    joined_bnn = packed_bnf[:, :, channels:] > 0
    mask_bn = joined_bnn.diagonal(dim1=1, dim2=2)
    itself = torch.eye(cells, dtype=torch.bool, device=packed_bnf.device)
    return {
        "units": packed_bnf[:, :, :channels],
        "mask": mask_bn,
        "edges": _listed(joined_bnn & ~itself),
    }


def _listed(joined_bnn: Tensor) -> Tensor:
    """Pairs of neighbours (b, 2, e), as many as the graph of most has, -1 for none."""
    each = [one.nonzero().T for one in joined_bnn]
    most = max((pairs.shape[1] for pairs in each), default=0)
    padded = [functional.pad(p, (0, most - p.shape[1]), value=-1) for p in each]
    return torch.stack(padded)
