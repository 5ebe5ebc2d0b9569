"""The test for dead weights: before the first trial, everything must change something.

One original recommended to raise a weight whose term had been commented out. Searching
such a weight wastes the study, and every report of its importance would be noise. The
same goes for a choice that is none: of how units become wells, where a well has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from normgate.engine.tunable import Setting, Tunable
    from normgate.tune.space import Space

SMALLEST_EFFECT = 1e-9
"""Change over size of the effect, both as Euclidean norms, below which it is rounding.
Equal settings give equal bits, so that a dead weight's change is exactly 0."""


def effects(tunable: Tunable, space: Space) -> dict[str, float]:
    """How much each weight and choice changes first steps and how they are judged.

    A weight's low end is held against its high end, and a choice's first option against
    each other one, of which the largest change counts.
    """
    found = {
        one.name: _change(tunable, space.preset, one.name, (one.low, one.high))
        for one in space.weights
    }
    return found | {
        one.name: _change(tunable, space.preset, one.name, one.options)
        for one in space.choices
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
            f"dead weight {', '.join(dead)}: over all of its range neither a gradient "
            "nor a judgement changes, so nothing can be found by searching it. Fix it "
            f"({dead[0]}=<value>), or mend the loss that should use it; alive are "
            f"{', '.join(alive)}"
        )


def _change(
    tunable: Tunable,
    settings: Mapping[str, Setting],
    name: str,
    values: Sequence[Setting],
) -> float:
    first, *others = (tunable.effect({**settings, name: value}) for value in values)
    return max(_distance(first, other) for other in others)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    size = float(np.linalg.norm(one) + np.linalg.norm(other))
    return float(np.linalg.norm(other - one)) / size if size else 0.0
