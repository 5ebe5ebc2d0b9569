"""What the replicates of one fusion model share, and each of them as a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from normgate.engine.split import split_of
from normgate.families.fusion.settings import (
    DiffusionSettings,
    LossSettings,
    ModelSettings,
    TaskSettings,
)
from normgate.families.fusion.task import FusionTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.engine.settings import FitSettings
    from normgate.families.fusion.data import FusionUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the replicates of one model share."""

    name: str
    """The registered model, as `fusion-stroke`."""
    spec: Spec
    units: FusionUnits
    fold: NDArray[np.int64]
    """The fold of each patch."""
    folds: int
    model: ModelSettings = field(default_factory=ModelSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    task_settings: TaskSettings = field(default_factory=TaskSettings)

    def task(self, replicate: int, fit_settings: FitSettings) -> FusionTask:
        """One replicate as a task."""
        return FusionTask(
            name=f"{self.name} replicate {replicate + 1}",
            units=self.units,
            parts=split_of(self.fold, self.folds, replicate),
            model=self.model,
            diffusion=self.diffusion,
            loss=self.loss,
            batch_size=fit_settings.batch_size,
            seed=fit_settings.seed,
            settings=self.task_settings,
        )
