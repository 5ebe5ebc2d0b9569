"""What a spec makes of one sample, by NumPy alone, and known values to try it on.

A registry server computes expected fingerprints with this. The bits are those of
`transform.apply.Normalizer`, whose kernels are compiled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import normal_form
from normgate.transform.sample import Values, check_scopes, transform_sample
from normgate.transform.table import apply_fixed_float, first_value, fixed_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import InputType, Spec


def normalized(spec: Spec, planes: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Normalize one sample, an array a channel: (c, *shape).

    Raises:
        SpecError: Channels differ in a step that measures them together.
        DataError: The sample is degenerate where a step refuses that.
    """
    forms = [normal_form(channel) for channel in spec.channels]
    check_scopes(forms, spec.names)
    out = np.empty((len(planes), *planes[0].shape), dtype=np.float32)
    measured = [c for c, form in enumerate(forms) if not form.fixed]
    for c, (form, plane) in enumerate(zip(forms, planes, strict=True)):
        if form.fixed and form.input == "float32":
            out[c] = apply_fixed_float(form, plane)
        elif form.fixed:
            table = fixed_table(form)
            out[c] = table[plane.astype(np.int64) - first_value(form.input)]
    if measured:
        names = spec.names
        values = [_values(planes[c]) for c in measured]
        after = transform_sample(
            [forms[c] for c in measured],
            [one for one, _ in values],
            [names[c] for c in measured],
        )
        for c, (_, where), y in zip(measured, values, after, strict=True):
            out[c] = y.astype(np.float32)[where].reshape(planes[c].shape)
    return out


def canonical(
    input_type: InputType, place: int, shape: tuple[int, ...]
) -> NDArray[Any]:
    """An array of every value of a type, in an order that only this place has.

    Args:
        input_type: The type; of float32 the values are those of float16, the infinite
            ones replaced.
        place: The channel's number.
        shape: Where it holds more than all values, they start again.
    """
    bits = 8 if input_type == "uint8" else 16
    codes = _permuted(np.arange(math.prod(shape), dtype=np.uint64), place, bits)
    if input_type == "float32":
        halves = codes.astype(np.uint16).view(np.float16).astype(np.float32)
        plain = (codes & np.uint64(1023)).astype(np.float32)
        values: NDArray[Any] = np.where(np.isfinite(halves), halves, plain)
    else:
        values = (codes.astype(np.int64) + first_value(input_type)).astype(input_type)
    return values.reshape(shape)


def _values(plane: NDArray[Any]) -> tuple[Values, NDArray[np.intp] | slice]:
    """An array's values as per-sample steps take them, and where each of its is."""
    if plane.dtype == np.float32:
        return Values(plane.reshape(-1).astype(np.float64), None), slice(None)
    found, where, counts = np.unique(plane, return_inverse=True, return_counts=True)
    occurring = Values(found.astype(np.float64), counts.astype(np.int64))
    return occurring, where.reshape(-1)


def _permuted(at: NDArray[np.uint64], place: int, bits: int) -> NDArray[np.uint64]:
    """A permutation of all codes of so many bits, repeated: odd factors and shifts."""
    mask = np.uint64((1 << bits) - 1)
    factor = np.uint64((0x9E37 * (2 * place + 1)) | 1)
    codes = (at * factor + np.uint64(0x79B9 * (place + 1))) & mask
    codes ^= codes >> np.uint64(bits // 2)
    codes = (codes * np.uint64(0x2C1B | 1)) & mask
    return codes ^ (codes >> np.uint64(bits // 2 - 1))
