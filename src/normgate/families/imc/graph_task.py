"""One replicate on cell graphs as a task; units, split and judge are `task`'s.

Axes: u units, n cells, c channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.families.imc.graph import CellGraphModel, graph_loss
from normgate.families.imc.graph_look import look_at_graphs
from normgate.families.imc.packed import packed, unpacked
from normgate.families.imc.task import ImcTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from normgate.engine.task import Batch
    from normgate.families.imc.evaluate import Seen
    from normgate.families.imc.settings import LossSettings

SHOWN = 600
"""Cells of the pictures."""


class GraphTask(ImcTask):
    """Implements `normgate.engine.member.Replicate`; arguments as `ImcTask`'s."""

    model: CellGraphModel  # type: ignore[assignment]  # it encodes graphs, not grids

    def look(self, at: NDArray[np.int64]) -> Seen:
        """What the model, as it is now, makes of units by number."""
        return look_at_graphs(self.model, self.units, at)

    def shown(
        self, seen: Seen, at: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Some cells (n, c, 1, 1) and their reconstructions, in the judge's space."""
        some = np.unique(np.linspace(0, len(seen.images) - 1, SHOWN).astype(int))
        return self.judge.truth(at)[some], self.judge.restored(seen.images[some])

    def _built(self) -> CellGraphModel:  # type: ignore[override]
        return CellGraphModel(self.settings.model, self.units.images.shape[1])

    def _inputs(self, at: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Units of cells by number; a latent that knows no order needs no turning."""
        assert self.units.joined is not None
        return unpacked(packed(self.units.images[at], self.units.joined[at]))

    def _lost(
        self, weights: LossSettings, batch: Batch, done: float
    ) -> tuple[Tensor, Mapping[str, float]]:
        return graph_loss(self.model, weights, batch, done)
