"""What the replicates of one IMC model share, and each of them as a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.engine.split import split_of
from normgate.families.imc.graph_task import GraphTask
from normgate.families.imc.task import ImcTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from normgate.acquisitions.geometry import Geometry
    from normgate.engine.settings import FitSettings
    from normgate.families.imc.settings import ImcSettings
    from normgate.families.imc.units import ImcUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the replicates of one model share."""

    name: str
    """The registered model."""
    units: ImcUnits
    geometry: Geometry
    fold: NDArray[np.int64]
    """The fold of each unit."""
    folds: int
    settings: ImcSettings
    cofactor: float | None
    """Of the evaluation space."""
    augment: bool

    def task(self, replicate: int, fit_settings: FitSettings) -> ImcTask:
        """One replicate as a task."""
        kind = GraphTask if self.settings.model.arch == "cell_graph" else ImcTask
        return kind(
            name=f"{self.name} replicate {replicate + 1}",
            units=self.units,
            parts=split_of(self.fold, self.folds, replicate),
            settings=self.settings,
            batch_size=fit_settings.batch_size,
            seed=fit_settings.seed,
            cofactor=self.cofactor,
            augment=self.augment,
        )
