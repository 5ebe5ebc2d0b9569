"""Changing a type without changing a value; where a value would change, it is refused.

NumPy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def as_type(
    values: NDArray[Any], dtype: str, place: object, channel: str
) -> NDArray[Any]:
    """Values in the type that a spec's channel takes.

    Args:
        values: What was read.
        dtype: The spec's type for it.
        place: The file, for errors.
        channel: The channel, for errors.

    Raises:
        DataError: A value is not exact in that type.
    """
    if values.dtype == dtype:
        return values
    other, wrong = _cast(values, dtype)
    if wrong.any():
        raise DataError(
            f"{place} holds {values[wrong][0]:g}, which {dtype} can't hold exactly, "
            f"but channel {channel} of the spec takes {dtype}; use a spec with float32 "
            "for it"
        )
    return other


def narrowed(
    values: NDArray[Any], dtypes: Sequence[str], place: object
) -> NDArray[Any]:
    """Values in their own type if it is listed, else as float32.

    Args:
        values: What was read.
        dtypes: Types that stay, in any byte order.
        place: The file, for errors.

    Raises:
        DataError: They are no real numbers, or not exact in float32.
    """
    native = values.dtype.newbyteorder("=")
    if str(native) in dtypes:
        return values.astype(native, copy=False)
    if native.kind not in "bfiu":
        raise DataError(f"{place} holds {native} values; expected real numbers")
    other, wrong = _cast(values, "float32")
    # No number stays no number: whether that is allowed is the spec's matter.
    wrong &= np.isfinite(values)
    if wrong.any():
        raise DataError(
            f"{place} holds {native} values such as {values[wrong][0]!r}, which are "
            "not exact in float32; export it as float32"
        )
    return other


def _cast(values: NDArray[Any], dtype: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values in another type, and where that is another value."""
    with np.errstate(invalid="ignore", over="ignore"):
        other = values.astype(dtype)
    return other, other.astype(np.float64) != values
