"""Where the outputs of two channels differ, and by how much.

Integer channels are compared at every intensity that both dtypes have, float32 ones
on a grid over the range of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import ClampAffine, normal_form
from normgate.transform.table import (
    apply_fixed_float,
    constants,
    every_value,
    fixed_table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm

GRID = 4097
"""Points at which two float32 channels are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much two channels differ."""

    compared: int
    """Intensities at which both were computed."""
    count: int
    """Intensities at which they differ."""
    first: float
    """Smallest intensity at which they differ, in counts."""
    last: float
    """Largest intensity at which they differ, in counts."""
    largest: float
    """The largest absolute difference of outputs."""
    where: float
    """The intensity of the largest difference, in counts."""
    outputs: tuple[float, float]
    """What each gives there."""


def comparable(
    first: Channel | None, second: Channel | None
) -> tuple[ChannelForm, ChannelForm] | None:
    """Return both normal forms where outputs can be compared, else None."""
    if first is None or second is None:
        return None
    forms = normal_form(first), normal_form(second)
    floats = [form.input == "float32" for form in forms]
    fixed = all(form.fixed for form in forms)
    return forms if fixed and floats[0] == floats[1] else None


def difference(first: ChannelForm, second: ChannelForm) -> Difference:
    """Compare two comparable forms."""
    grid, one, two = outputs(first, second)
    apart = np.abs(one.astype(np.float64) - two.astype(np.float64))
    differing = grid[apart > 0]
    most = int(np.argmax(apart))
    return Difference(
        compared=grid.size,
        count=differing.size,
        first=float(differing[0]) if differing.size else float("nan"),
        last=float(differing[-1]) if differing.size else float("nan"),
        largest=float(apart[most]),
        where=float(grid[most]),
        outputs=(float(one[most]), float(two[most])),
    )


def outputs(
    first: ChannelForm, second: ChannelForm
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Return intensities and what both forms give there."""
    if first.input == "float32":
        grid = _float_grid(first, second)
        values = grid.astype(np.float32)
        return grid, apply_fixed_float(first, values), apply_fixed_float(second, values)
    ranges = [every_value(form.input) for form in (first, second)]
    low = max(values[0] for values in ranges)
    high = min(values[-1] for values in ranges)
    tables = [
        fixed_table(form)[int(low - values[0]) : int(high - values[0]) + 1]
        for form, values in zip((first, second), ranges, strict=True)
    ]
    return np.arange(low, high + 1), tables[0], tables[1]


def _float_grid(*forms: ChannelForm) -> NDArray[np.float64]:
    """Return a grid over what both forms clip to, a quarter wider on both sides."""
    ends = []
    for form in forms:
        for operation in form.operations[:1]:
            if isinstance(operation, ClampAffine):
                low, high, gain, offset = constants(operation)
                ends += [low, high, -offset / gain, (1 - offset) / gain]
    finite = [end for end in ends if np.isfinite(end)] or [0.0, 1.0]
    wider = (max(finite) - min(finite) or 1.0) / 4
    least = max(min(finite) - wider, 0.0) if min(finite) >= 0 else min(finite) - wider
    grid = np.linspace(least, max(finite) + wider, GRID).astype(np.float32)
    return grid.astype(np.float64)
