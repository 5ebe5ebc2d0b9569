"""Normalizer: raw planes in, normalized float32 channels out, by a spec.

A fixed integer channel has one table (`transform.table`). The compiled clamp-affine
kernel is run over every value of the dtype when a Normalizer is made; where a single
bit differs, the table itself is used. Blocks of rows can be shared out to threads.

Axes: c channel, then those of one plane, usually h height and w width.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from normgate.contract import ClampAffine, normal_form
from normgate.errors import DataError, SpecError
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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm, Spec

SMALLEST_BLOCK = 1 << 18
"""Pixels below which a thread costs more than it saves."""


class Apply(Protocol):
    """Normalizes flat pixels of one channel into a flat float32 array."""

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Write the result for x into out, both flat and contiguous."""


class Normalizer:
    """Applies a spec to planes; safe to share between threads.

    Args:
        spec: What to apply.
        threads: Threads that one call may use. One call per thread, each on its own
            image, is faster where there are many images.

    Raises:
        SpecError: If a channel's constants leave the range of binary64 or float32.
    """

    def __init__(self, spec: Spec, *, threads: int = 1) -> None:
        self.spec = spec
        self.threads = threads
        self._dtypes = tuple(np.dtype(channel.input) for channel in spec.channels)
        self._apply = tuple(_channel_apply(channel) for channel in spec.channels)

    def __call__(
        self,
        planes: Sequence[NDArray[Any]] | NDArray[Any],
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Normalize one sample.

        Args:
            planes: One array per channel in the spec's order, of equal shapes, each of
                its channel's input dtype; or one array whose first axis is channels.
            out: Contiguous float32 (channels, *shape) to write to; else a new array.

        Returns:
            Float32 (channels, *shape).

        Raises:
            DataError: If the number, dtype or shape of planes is not what the spec
                says, or a float32 pixel is NaN or infinite; the channel is named.
        """
        out = self._checked_out(planes, out)
        blocks = [
            (apply, x, y, channel.name)
            for apply, plane, result, channel in zip(
                self._apply, planes, out, self.spec.channels, strict=True
            )
            for x, y in self._blocks(plane, result)
        ]
        if self.threads == 1 or len(blocks) == len(out):
            for block in blocks:
                _run(block)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(_run, blocks))
        return out

    def _blocks(
        self, plane: NDArray[Any], result: NDArray[np.float32]
    ) -> list[tuple[NDArray[Any], NDArray[np.float32]]]:
        x = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))
        flat, out = x.reshape(-1), result.reshape(-1)
        parts = min(self.threads, max(1, flat.size // SMALLEST_BLOCK))
        size = -(-flat.size // parts)
        starts = range(0, flat.size, max(size, 1))
        return [(flat[i : i + size], out[i : i + size]) for i in starts]

    def _checked_out(
        self,
        planes: Sequence[NDArray[Any]] | NDArray[Any],
        out: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        if len(planes) != len(self._apply):
            raise DataError(
                f"found {len(planes)} planes, expected {len(self._apply)}: "
                f"{', '.join(self.spec.names)}"
            )
        for plane, dtype, name in zip(
            planes, self._dtypes, self.spec.names, strict=True
        ):
            if plane.dtype != dtype and plane.dtype.newbyteorder("=") != dtype:
                raise DataError(_wrong_dtype(name, plane.dtype, dtype))
            if plane.shape != planes[0].shape:
                raise DataError(
                    f"channel {name!r} has shape {plane.shape}, expected "
                    f"{planes[0].shape} as {self.spec.names[0]!r}; planes of one "
                    "sample must have one shape"
                )
        return _output((len(planes), *planes[0].shape), out)


def _output(
    shape: tuple[int, ...], out: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    if out is None:
        return np.empty(shape, dtype=np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise DataError(
            f"out is {out.dtype} {out.shape}, expected contiguous float32 {shape}"
        )
    return out


def _wrong_dtype(name: str, found: np.dtype, expected: np.dtype) -> str:
    return (
        f"channel {name!r} found {found} pixels, expected {expected} raw counts; read "
        "the file without conversion, or use a spec for its dtype"
    )


def _run(
    block: tuple[Apply, NDArray[Any], NDArray[np.float32], str],
) -> None:
    apply, x, out, name = block
    try:
        apply(x, out)
    except DataError as error:
        raise DataError(f"channel {name!r}: {error}") from error


def _channel_apply(channel: Channel) -> Apply:
    form = normal_form(channel)
    try:
        if form.input == "float32":
            return _float_apply(form)
        return _integer_apply(form)
    except SpecError as error:
        raise SpecError(f"channel {channel.name!r}: {error}") from error


def _integer_apply(form: ChannelForm) -> Apply:
    affine = _single_affine(form)
    values = fixed_table(form).copy()
    if affine is None:
        return _Gather(values, first_value(form.input))
    quick = _ClampAffine(*constants(affine))
    found = np.empty_like(values)
    quick(every_value(form.input).astype(form.input), found)
    same = np.array_equal(found.view(np.uint32), values.view(np.uint32))
    return quick if same else _Gather(values, first_value(form.input))


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


class _Gather:
    def __init__(self, table: NDArray[np.float32], first: int) -> None:
        self.table, self.first = table, first

    def __call__(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        kernels.gather(x, out, self.table, self.first)
