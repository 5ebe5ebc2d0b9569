"""Normalizer: raw planes in, normalized float32 channels out, by a spec.

A fixed integer channel gives its table's floats (`transform.table`), whichever way
`transform.channel` applies it. Channels with steps that are measured on each sample
are measured first (`transform.sample`). Blocks of pixels can be shared out to threads.

Axes: c channel, then those of one plane, usually h height and w width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from normgate.contract import normal_form
from normgate.errors import DataError, SpecError
from normgate.transform import kernels
from normgate.transform.channel import Apply, Gather, channel_apply
from normgate.transform.sample import Values, check_scopes, transform_sample
from normgate.transform.table import first_value, refuse_non_finite
from normgate.transform.threads import shared_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from normgate.contract import Channel, ChannelForm, Spec

SMALLEST_BLOCK = 1 << 18
"""Pixels below which a thread costs more than it saves."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Normalizer:
    """Applies a spec to planes; safe to share between threads.

    Args:
        spec: What to apply.
        threads: Threads that one call may use. Where there are many images, one call
            per thread, each on its own image, is faster.

    Raises:
        SpecError: If constants leave the range of binary64 or float32, or channels
            differ in a step that measures them together.
    """

    def __init__(self, spec: Spec, *, threads: int = 1) -> None:
        self.spec = spec
        self.threads = threads
        self._names = spec.names
        self._dtypes = tuple(np.dtype(channel.input) for channel in spec.channels)
        self._forms = tuple(normal_form(channel) for channel in spec.channels)
        check_scopes(self._forms, spec.names)
        self._fixed = tuple(map(_fixed_apply, spec.channels, self._forms))
        self._groups = _groups(self._forms)

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
                says, a float32 pixel is NaN or infinite, or a sample is degenerate
                where its step refuses that.
        """
        self._check(planes)
        result = _output((len(planes), *planes[0].shape), out)
        pixels = [_flat(plane) for plane in planes]
        results = [one.reshape(-1) for one in result]
        applies = [*self._fixed]
        for c, apply in self._measure(pixels, results):
            applies[c] = apply
        blocks = [
            (apply, pixels[c][part], results[c][part], self._names[c])
            for c, apply in enumerate(applies)
            if apply is not None
            for part in self._parts(pixels[c].size)
        ]
        self._map(_run, blocks)
        return result

    def _measure(
        self, pixels: list[NDArray[Any]], results: list[NDArray[np.float32]]
    ) -> list[tuple[int, Apply]]:
        """Return this sample's tables; float32 channels are written at once."""

        def measure(group: tuple[int, ...]) -> list[tuple[int, Apply]]:
            return self._measure_group(group, pixels, results)

        return [found for one in self._map(measure, self._groups) for found in one]

    def _measure_group(
        self,
        group: tuple[int, ...],
        pixels: list[NDArray[Any]],
        results: list[NDArray[np.float32]],
    ) -> list[tuple[int, Apply]]:
        names = [self._names[c] for c in group]
        forms = [self._forms[c] for c in group]
        sample = [self._values(c, pixels[c]) for c in group]
        tables: list[tuple[int, Apply]] = []
        after = transform_sample(forms, sample, names)
        for c, before, y in zip(group, sample, after, strict=True):
            if before.counts is None:
                results[c][:] = y
            else:
                tables.append((c, _sample_table(self._forms[c], before, y)))
        return tables

    def _values(self, c: int, pixels: NDArray[Any]) -> Values:
        """Return a channel's values: those that occur, or all where they are floats."""
        if pixels.dtype == np.float32:
            if not kernels.all_finite(pixels):
                _refuse_non_finite(pixels, self._names[c])
            return Values(pixels.astype(np.float64), None)
        alone = len(self._groups) == 1
        parts = [pixels[part] for part in self._parts(pixels.size)]
        counts = np.sum(self._map(_counts, parts if alone else [pixels]), axis=0)
        occurring = np.flatnonzero(counts)
        first = first_value(self._forms[c].input)
        return Values((occurring + first).astype(np.float64), counts[occurring])

    def _parts(self, size: int) -> list[slice]:
        """Return slices of a plane, one per thread where it is large enough."""
        number = min(self.threads, max(1, size // SMALLEST_BLOCK))
        length = max(1, -(-size // number))
        return [slice(i, i + length) for i in range(0, size, length)]

    def _map(
        self, function: Callable[[_Item], _Result], items: list[_Item]
    ) -> list[_Result]:
        if self.threads == 1 or len(items) <= 1:
            return [function(item) for item in items]
        return shared_out(function, items, self.threads)

    def _check(self, planes: Sequence[NDArray[Any]] | NDArray[Any]) -> None:
        names = self._names
        if len(planes) != len(names):
            raise DataError(
                f"found {len(planes)} planes, expected {len(names)}: {', '.join(names)}"
            )
        for plane, dtype, name in zip(planes, self._dtypes, names, strict=True):
            if plane.dtype != dtype and plane.dtype.newbyteorder("=") != dtype:
                raise DataError(
                    f"channel {name!r} found {plane.dtype} pixels, expected {dtype} "
                    "raw counts; read the file without conversion, or use a spec for "
                    "its dtype"
                )
            if plane.shape != planes[0].shape:
                raise DataError(
                    f"channel {name!r} has shape {plane.shape}, expected "
                    f"{planes[0].shape} as {names[0]!r}; planes of one sample must "
                    "have one shape"
                )


def _fixed_apply(channel: Channel, form: ChannelForm) -> Apply | None:
    if not form.fixed:
        return None
    try:
        return channel_apply(form)
    except SpecError as error:
        raise SpecError(f"channel {channel.name!r}: {error}") from error


def _groups(forms: Sequence[ChannelForm]) -> list[tuple[int, ...]]:
    """Return the channels with per-sample steps, those measured together as one."""
    measured = tuple(c for c, form in enumerate(forms) if not form.fixed)
    steps = [op for form in forms for op in form.operations]
    together = any(getattr(step, "scope", None) == "image" for step in steps)
    return [measured] if together else [(c,) for c in measured]


def _sample_table(
    form: ChannelForm, before: Values, after: NDArray[np.float64]
) -> Gather:
    first = first_value(form.input)
    values = np.zeros(np.iinfo(form.input).max - first + 1, dtype=np.float32)
    values[before.y.astype(np.int64) - first] = after
    return Gather(values, first)


def _counts(pixels: NDArray[Any]) -> NDArray[np.int64]:
    limits = np.iinfo(pixels.dtype)
    counts = np.zeros(limits.max - limits.min + 1, dtype=np.int64)
    kernels.count(pixels, counts, limits.min)
    return counts


def _refuse_non_finite(pixels: NDArray[np.float32], name: str) -> None:
    try:
        refuse_non_finite(pixels)
    except DataError as error:
        raise DataError(f"channel {name!r}: {error}") from error


def _flat(plane: NDArray[Any]) -> NDArray[Any]:
    native = plane.dtype.newbyteorder("=")
    return np.ascontiguousarray(plane, dtype=native).reshape(-1)


def _run(block: tuple[Apply, NDArray[Any], NDArray[np.float32], str]) -> None:
    apply, pixels, result, name = block
    try:
        apply(pixels, result)
    except DataError as error:
        raise DataError(f"channel {name!r}: {error}") from error


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
