"""A bundle's members as one model: raw input in, named outputs of every member out.

What a member gives, and how members become one prediction, is the family's to say.

Axes: r members; what follows is the family's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Outputs = Callable[[nn.Module, Tensor], Mapping[str, Tensor]]
    Combine = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]


class Ensemble(nn.Module):
    """Members behind one normalization.

    Args:
        raw_input: Raw input to what a member takes.
        members: Networks.
        outputs: What a network gives for units, by name.
        combine: The outputs of all members (r, ...) to predictions, by name.
    """

    def __init__(
        self,
        raw_input: nn.Module,
        members: Sequence[nn.Module],
        outputs: Outputs,
        combine: Combine,
    ) -> None:
        super().__init__()
        self.raw_input = raw_input
        self.members = nn.ModuleList(members)
        self._outputs = outputs
        self._combine = combine
        self.eval()

    def forward(self, raw: Tensor) -> dict[str, Tensor]:
        """Every member's outputs (r, ...) of raw input, by name."""
        return self.outputs(self.raw_input(raw))

    def outputs(self, units: Tensor) -> dict[str, Tensor]:
        """Every member's outputs (r, ...) of normalized units, by name."""
        each = [self._outputs(member, units) for member in self.members]
        return {name: torch.stack([one[name] for one in each]) for name in each[0]}

    @torch.inference_mode()
    def predict(self, raw: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Predict from raw input, as an array of any type that the family takes.

        Returns:
            What the family makes of all members, by name.
        """
        device = next(self.members.parameters()).device
        found = self(torch.from_numpy(np.ascontiguousarray(raw)).to(device))
        return self._combine({k: x.float().cpu().numpy() for k, x in found.items()})
