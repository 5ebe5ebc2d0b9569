"""How one channel is normalized: a certified kernel, its table, or float arithmetic.

`channel_apply` chooses. The compiled clamp-affine kernel is run over every value of an
integer dtype; where a single bit differs from the table, the table is used instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from normgate.contract import ClampAffine
from normgate.transform import kernels
from normgate.transform.table import (
    apply_fixed_float,
    constants,
    every_value,
    first_value,
    fixed_table,
    refuse_non_finite,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import ChannelForm


class Apply(Protocol):
    """Normalizes flat pixels of one channel into a flat float32 array."""

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Write the result for x into out, both flat and contiguous."""


def channel_apply(form: ChannelForm) -> Apply:
    """Choose how to apply a fixed form.

    Raises:
        SpecError: If a constant or result leaves the range of its binary format.
    """
    return _float_apply(form) if form.input == "float32" else _integer_apply(form)


class _ClampAffine:
    def __init__(self, low: float, high: float, gain: float, offset: float) -> None:
        self.constants = (low, high, gain, offset)

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        kernels.clamp_affine(x, out, *self.constants)


class _FloatClampAffine(_ClampAffine):
    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        if not kernels.all_finite(x):
            refuse_non_finite(x)
        super().__call__(x, out)


class _Float:
    def __init__(self, form: ChannelForm) -> None:
        self.form = form

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        out[:] = apply_fixed_float(self.form, x)


class Gather:
    """Looks every pixel up in a table."""

    def __init__(self, table: NDArray[np.float32], first: int) -> None:
        self.table, self.first = table, first

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Write table[x - first]."""
        kernels.gather(x, out, self.table, self.first)


def _integer_apply(form: ChannelForm) -> Apply:
    affine = _single_affine(form)
    values = fixed_table(form).copy()
    if affine is None:
        return Gather(values, first_value(form.input))
    quick = _ClampAffine(*constants(affine))
    found = np.empty_like(values)
    quick(every_value(form.input).astype(form.input), found)
    same = np.array_equal(found.view(np.uint32), values.view(np.uint32))
    return quick if same else Gather(values, first_value(form.input))


def _float_apply(form: ChannelForm) -> Apply:
    affine = _single_affine(form)
    if affine is None:
        return _Float(form)
    return _FloatClampAffine(*constants(affine))


def _single_affine(form: ChannelForm) -> ClampAffine | None:
    """Return the form's only operation if it is a clamp-affine, or the identity."""
    if not form.operations:
        return ClampAffine()
    only = form.operations[0]
    if len(form.operations) == 1 and isinstance(only, ClampAffine):
        return only
    return None
