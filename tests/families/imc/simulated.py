"""Simulated units of the IMC family, small enough for any test."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.simulate import World, WorldSettings
from normgate.engine.split import Split
from normgate.families.imc.replay import Drawn, normalized
from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings
from normgate.families.imc.task import ImcTask

if TYPE_CHECKING:
    from normgate.families.imc.units import ImcUnits

TRAIN, VALIDATION, TEST = 96, 32, 48
BATCH = 16


@cache
def drawn(channels: int = 12, side: int = 4, seed: int = 0) -> Drawn:
    """Units of four classes whose channels differ a thousandfold in scale."""
    world = World(WorldSettings(seed=seed, channels=channels, rows=side, columns=side))
    total = TRAIN + VALIDATION + TEST
    found = [world.acquisition(number) for number in range(total)]
    at = np.arange(total)
    return Drawn(
        raw=np.stack([one.array_cyx for one in found]),
        clean=np.stack([one.clean_cyx for one in found]),
        classes=np.array([f"class-{one.label}" for one in found]),
        density=np.array([one.density for one in found]),
        parts=Split(
            train=at[:TRAIN],
            validation=at[TRAIN : TRAIN + VALIDATION],
            test=at[TRAIN + VALIDATION :],
        ),
    )


@cache
def units(normalization: Any = "dataset_z") -> ImcUnits:
    return normalized(drawn(), normalization)


def task(
    normalization: Any = "dataset_z",
    loss: LossSettings | None = None,
    augment: bool = False,
    **model: Any,
) -> ImcTask:
    """A small task; equal arguments give equal tasks."""
    return ImcTask(
        name="small",
        units=units(normalization),
        parts=drawn().parts,
        settings=ImcSettings(
            model=ModelSettings(**{"latent": 8, **model}),
            loss=loss or LossSettings(),
        ),
        batch_size=BATCH,
        seed=1,
        cofactor=None,
        augment=augment,
    )
