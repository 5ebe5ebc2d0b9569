"""The one arithmetic of a fixed channel: `float32(clamp(x) * gain + offset)`.

Everything is IEEE binary64 with constants rounded once from exact rationals, multiply
then add, and one last rounding to float32. For integer input this is a table of 256
or 65,536 floats, and every other path (kernel, Torch, exported model) reproduces it
bit for bit. NumPy only, so that a tracking server can compute it too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import ClampAffine, Nonlinear, normal_form
from normgate.errors import DataError, SpecError
from normgate.transform.nonlinear import Interval, bounded, nonlinear, settled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm, InputType

FixedOperation = ClampAffine | Nonlinear
KEPT_TABLES = 64


def table(channel: Channel) -> NDArray[np.float32]:
    """Return what a fixed integer channel gives for every value of its dtype.

    Args:
        channel: A channel of uint8, uint16 or int16 input without per-sample steps.

    Returns:
        Float32 of shape (256,) or (65536,); `table[value - first_value(dtype)]`. The
        array is the caller's own.

    Raises:
        SpecError: For float32 input, per-sample steps, or an output beyond float32.
    """
    try:
        return fixed_table(normal_form(channel)).copy()
    except SpecError as error:
        raise SpecError(f"channel {channel.name!r}: {error}") from error


def first_value(input_type: InputType) -> int:
    """Return the integer dtype's smallest value, which stands at index 0.

    Raises:
        SpecError: For float32, which has no table.
    """
    if input_type == "float32":
        raise SpecError(f"{input_type} input has no table; tables are for integers")
    return int(np.iinfo(input_type).min)


def every_value(input_type: InputType) -> NDArray[np.float64]:
    """Return every value of an integer dtype, ascending, as float64.

    Raises:
        SpecError: For float32, which has no table.
    """
    first = first_value(input_type)
    return np.arange(first, np.iinfo(input_type).max + 1, dtype=np.float64)


@lru_cache(maxsize=KEPT_TABLES)
def fixed_table(form: ChannelForm) -> NDArray[np.float32]:
    """Return the table of a normal form, kept and read-only.

    Raises:
        SpecError: For float32 input, per-sample steps, or an output beyond float32.
    """
    values = every_value(form.input)
    result = settled(values, lambda x: _intervals(fixed_operations(form), x))
    _refuse_infinite(result, values)
    result.setflags(write=False)
    return result


def fixed_operations(form: ChannelForm) -> tuple[FixedOperation, ...]:
    """Return a form's operations, all of them fixed.

    Raises:
        SpecError: If one of them is measured on each sample.
    """
    fixed = tuple(op for op in form.operations if isinstance(op, FixedOperation))
    if len(fixed) != len(form.operations):
        raise SpecError(
            "a step that is measured on each sample has no fixed table; apply it with "
            "normgate.transform.apply.Normalizer"
        )
    return fixed


def apply_fixed_float(form: ChannelForm, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a fixed form to float32 pixels, without a table.

    It has the table's arithmetic and gives the same bits everywhere, with arcsinh and
    log1p too.

    Args:
        form: A normal form with float32 input and no per-sample steps.
        x: Pixels of any shape.

    Raises:
        DataError: If a pixel is NaN or infinite.
        SpecError: If the form has per-sample steps.
    """
    refuse_non_finite(x)
    operations = fixed_operations(form)
    if any(isinstance(operation, Nonlinear) for operation in operations):
        flat = x.reshape(-1).astype(np.float64)
        return settled(flat, lambda v: _intervals(operations, v)).reshape(x.shape)
    with np.errstate(over="ignore"):
        return apply_operations(operations, x).astype(np.float32)


def refuse_non_finite(x: NDArray[np.float32]) -> None:
    """Refuse pixels that are no number.

    Raises:
        DataError: With how many there are and where the first stands.
    """
    bad = ~np.isfinite(x)
    count = int(np.count_nonzero(bad))
    if count:
        where = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), x.shape))
        raise DataError(
            f"{count} of {x.size} pixels are NaN or infinite (the first is {x[where]} "
            f"at {where}), expected finite numbers; mend or leave out the image"
        )


def apply_operations(
    operations: Sequence[FixedOperation], x: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Apply fixed operations in binary64; the last rounding is the caller's.

    Without operations, x itself may be returned.
    """
    values = x.astype(np.float64, copy=False)
    for operation in operations:
        if isinstance(operation, ClampAffine):
            values = clamp_affine(operation, values)
        else:
            values = nonlinear(operation, values)
    return values


def clamp_affine(affine: ClampAffine, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `clamp(x, low, high) * gain + offset`, multiplied, then added."""
    low, high, gain, offset = constants(affine)
    clamped = np.minimum(np.maximum(x, low), high)
    clamped *= gain
    clamped += offset
    return clamped


def constants(affine: ClampAffine) -> tuple[float, float, float, float]:
    """Return low, high, gain and offset, each correctly rounded once to binary64.

    Raises:
        SpecError: If one is beyond binary64.
    """
    low = -np.inf if affine.low is None else _rounded(affine.low)
    high = np.inf if affine.high is None else _rounded(affine.high)
    return low, high, _rounded(affine.gain), _rounded(affine.offset)


def _rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise SpecError(
            "the steps fold to a constant beyond binary64; use smaller constants"
        ) from error


def _intervals(operations: Sequence[FixedOperation], x: Interval) -> Interval:
    for operation in operations:
        if isinstance(operation, ClampAffine):
            low = clamp_affine(operation, x.low)
            high = low if x.high is x.low else clamp_affine(operation, x.high)
            x = Interval(low, low)
            if high is not low:
                x = Interval(np.minimum(low, high), np.maximum(low, high))
        else:
            x = bounded(operation, x)
    return x


def _refuse_infinite(result: NDArray[np.float32], values: NDArray[np.float64]) -> None:
    infinite = ~np.isfinite(result)
    if infinite.any():
        value = int(values[int(infinite.argmax())])
        raise SpecError(
            f"intensity {value} gives a value beyond float32; use smaller constants"
        )
