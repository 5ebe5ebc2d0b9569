"""The test for dead weights: before the first trial, every one must change something.

One original recommended to raise a weight whose term had been commented out. Searching
such a weight wastes the study, and every report of its importance would be noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normgate.engine.tunable import Tunable
    from normgate.tune.space import Space

SMALLEST_EFFECT = 1e-9
"""Change over size of the effect, both as Euclidean norms, below which it is rounding.
Equal settings give equal bits, so that a dead weight's change is exactly 0."""


def effects(tunable: Tunable, space: Space) -> dict[str, float]:
    """How much each searched weight changes a first step, low end against high end."""
    return {
        one.name: _change(
            tunable, space.preset | {one.name: one.low}, {one.name: one.high}
        )
        for one in space.weights
    }


def refuse_dead(found: Mapping[str, float]) -> None:
    """Refuse a study with weights that change nothing.

    Raises:
        SettingsError: With every such weight.
    """
    dead = [name for name, change in found.items() if not change > SMALLEST_EFFECT]
    if dead:
        alive = [name for name in found if name not in dead] or ["none"]
        raise SettingsError(
            f"dead weight {', '.join(dead)}: between the two ends of its range the "
            "gradient does not change, so nothing can be found by searching it. Fix it "
            f"({dead[0]}=<value>), or mend the loss that should use it; alive are "
            f"{', '.join(alive)}"
        )


def _change(
    tunable: Tunable, settings: Mapping[str, float], other: Mapping[str, float]
) -> float:
    low = tunable.effect(settings)
    high = tunable.effect({**settings, **other})
    size = float(np.linalg.norm(low) + np.linalg.norm(high))
    return float(np.linalg.norm(high - low)) / size if size else 0.0
