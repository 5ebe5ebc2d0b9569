"""A bundle's members as one model: raw counts in, logits of every member out.

Axes: r members, n units, k classes, c channels, h rows, w columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Ensemble(nn.Module):
    """Members behind one normalization.

    Args:
        raw_input: Raw counts (n, c, h, w) to what a member takes.
        members: Networks, each giving logits (n, k).
        temperatures: One for each member; logits are divided by it before softmax.
    """

    def __init__(
        self,
        raw_input: nn.Module,
        members: Sequence[nn.Module],
        temperatures: Sequence[float],
    ) -> None:
        super().__init__()
        self.raw_input = raw_input
        self.members = nn.ModuleList(members)
        self.temperatures = tuple(temperatures)
        self.eval()

    def forward(self, raw_nchw: Tensor) -> Tensor:
        """Logits (r, n, k) of raw counts (n, c, h, w)."""
        logits: Tensor = self.logits(self.raw_input(raw_nchw))
        return logits

    def logits(self, units_nchw: Tensor) -> Tensor:
        """Logits (r, n, k) of normalized units (n, c, size, size)."""
        return torch.stack([member(units_nchw) for member in self.members])

    def probabilities(self, logits_rnk: NDArray[np.float32]) -> NDArray[np.float64]:
        """Float64 (n, k): softmax of the mean of the members' tempered logits."""
        temperatures = np.array(self.temperatures).reshape(-1, 1, 1)
        return softmax((logits_rnk.astype(np.float64) / temperatures).mean(axis=0))

    @torch.inference_mode()
    def score(
        self, raw_nchw: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Score raw counts.

        Args:
            raw_nchw: uint16, uint8 or int16 (n, c, h, w).

        Returns:
            Mean logits, float32 (n, k), and probabilities, float64 (n, k).
        """
        raw = torch.from_numpy(np.ascontiguousarray(raw_nchw))
        device = next(self.members.parameters()).device
        logits_rnk = self(raw.to(device)).float().cpu().numpy()
        return logits_rnk.mean(axis=0), self.probabilities(logits_rnk)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result
