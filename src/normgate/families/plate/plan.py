"""What the replicates of one plate model share, and each of them as a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.engine.split import split_of
from normgate.families.plate.task import PlateTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.engine.settings import FitSettings
    from normgate.families.plate.data import PlateUnits
    from normgate.families.plate.settings import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the replicates of one model share."""

    name: str
    """The registered model, as `rescue-0ms`."""
    spec: Spec
    units: PlateUnits
    classes: tuple[str, ...]
    fold: NDArray[np.int64]
    """The fold of each unit."""
    folds: int
    model: ModelSettings
    aggregation: str = "mean"
    """How units become wells where wells are judged, as `well_score` names it."""

    def task(self, replicate: int, fit_settings: FitSettings) -> PlateTask:
        """One replicate as a task."""
        return PlateTask(
            name=f"{self.name} replicate {replicate + 1}",
            spec=self.spec,
            units=self.units,
            parts=split_of(self.fold, self.folds, replicate),
            model=self.model,
            classes=self.classes,
            aggregation=self.aggregation,
            batch_size=fit_settings.batch_size,
            seed=fit_settings.seed,
        )
