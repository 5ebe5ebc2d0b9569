"""The probe: planes that hold every intensity, and what a spec must make of them.

Declared is not applied: one pipeline declared a channel's own percentiles and applied
another channel's. So a probe is written in the data's file format and goes through the
very reader, loader, normalizer and resize in use; the digest of what comes out is the
applied fingerprint. Here stand the probe and the expected fingerprint, which needs
NumPy alone, so that a registry server can compute it; `applied` measures and compares.

The probe has two parts. The whole plane at its own size shows what each intensity
becomes; planes cut and sized by the model's own geometry show windows, borders and
resize. Axes: n units, c channels, y rows, x columns.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import normal_form
from normgate.errors import SpecError
from normgate.plates.geometry import Geometry, boxes, crop
from normgate.transform.reference import canonical
from normgate.transform.resize import reference_resize
from normgate.transform.table import apply_fixed_float, first_value, fixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec
    from normgate.plates.load import Loader

SIDE = 256
"""A square of this side holds every 16-bit value once."""
FULL_SIZE = Geometry(kind="site", size=SIDE)
_FORMAT = b"normgate.probe/1\n"
_SITE_SHAPE = (288, 352)
"""Rows and columns of the probe for whole sites: not square, so that axes show."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a loader makes of the probe, or must make of it."""

    full_cyx: NDArray[np.float32]
    """Every intensity at its own size, (c, 256, 256)."""
    units_ncyx: NDArray[np.float32]
    """The units of the model's geometry, (n, c, size, size)."""
    keys: tuple[tuple[int, int, int], ...]
    """Unit, row and column of each unit."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of shapes, unit keys and every output bit, in hex."""
        digest = hashlib.sha256(_FORMAT)
        shapes = f"{self.full_cyx.shape}{self.units_ncyx.shape}{self.keys}\n"
        digest.update(shapes.encode())
        for array in (self.full_cyx, self.units_ncyx):
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()


def expected_fingerprint(spec: Spec, geometry: Geometry) -> str:
    """The fingerprint of a loader that applies a spec and a geometry as declared.

    Args:
        spec: What is declared.
        geometry: How sites become units.

    Returns:
        64 hex digits.

    Raises:
        SpecError: A step is measured on each sample, and normgate[train] is missing.
    """
    return expected_output(spec, geometry).fingerprint


def applied_fingerprint(loader: Loader, like: Path | None = None) -> str:
    """The fingerprint of what a loader really applies; see `applied.measure`."""
    # The imaging readers are wanted only here: a tracking server has none.
    from normgate.plates.applied import measure

    return measure(loader, like).fingerprint


def verify(loader: Loader, like: Path | None = None) -> str:
    """Stop unless a loader applies what its spec declares; see `applied.verify`.

    Returns:
        The fingerprint, 64 hex digits.

    Raises:
        FingerprintMismatch: With the channel, an intensity, found and expected.
    """
    from normgate.plates import applied

    return applied.verify(loader, like)


def expected_output(spec: Spec, geometry: Geometry) -> Output:
    """What a spec and a geometry make of the probe, by the reference resize.

    Raises:
        SpecError: A step is measured on each sample, and normgate[train] is missing.
    """
    shape, centers = probe_shape(geometry), probe_centers(geometry)
    found = boxes(geometry, shape, centers)
    planes = probe_planes(spec, shape)
    units = [
        reference_resize(
            normalized(spec, crop(planes, box, geometry.border)),
            (geometry.size, geometry.size),
        )
        for box in found
    ]
    empty = np.empty((0, len(planes), geometry.size, geometry.size), dtype=np.float32)
    return Output(
        full_cyx=normalized(spec, probe_planes(spec, (SIDE, SIDE))),
        units_ncyx=np.stack(units) if units else empty,
        keys=tuple((box.unit, *box.center) for box in found),
    )


def probe_planes(spec: Spec, shape_yx: tuple[int, int]) -> list[NDArray[Any]]:
    """One plane a channel: every value of its type, differently placed in each."""
    return [
        canonical(channel.input, index, shape_yx)
        for index, channel in enumerate(spec.channels)
    ]


def probe_shape(geometry: Geometry) -> tuple[int, int]:
    """Rows and columns of the probe: room for whole windows, and a rest."""
    if geometry.window is None:
        return _SITE_SHAPE
    side = geometry.window
    return 2 * side + side // 2 + 1, 2 * side + side // 3 + 2


def probe_centers(geometry: Geometry) -> tuple[tuple[int, int, int], ...]:
    """Cells of the probe: one inside, one at a corner, one at the last row."""
    if geometry.kind != "cell":
        return ()
    rows, columns = probe_shape(geometry)
    return (
        (1, rows // 2, columns // 2),
        (2, 0, columns // 9),
        (3, rows - 1, columns // 2),
    )


def normalized(spec: Spec, planes: list[NDArray[Any]]) -> NDArray[np.float32]:
    """What a spec makes of planes, one a channel: (c, rows, columns).

    By tables, and NumPy alone, where all steps are fixed; steps that are measured on
    each sample have no table and go through the Normalizer.

    Raises:
        SpecError: A step is measured on each sample, and normgate[train] is missing.
    """
    if not all(normal_form(channel).fixed for channel in spec.channels):
        return _measured(spec, planes)
    return np.stack(
        [_channel(c, plane) for c, plane in zip(spec.channels, planes, strict=True)]
    )


def _measured(spec: Spec, planes: list[NDArray[Any]]) -> NDArray[np.float32]:
    try:
        # Its kernels are compiled; a tracking server need not have them.
        from normgate.transform.apply import Normalizer
    except ImportError as error:
        raise SpecError(
            "a step that is measured on each sample can be probed only where "
            f"normgate[train] is installed ({error}); install it on this server"
        ) from error
    return Normalizer(spec)(planes)


def _channel(channel: Channel, plane_yx: NDArray[Any]) -> NDArray[np.float32]:
    form = normal_form(channel)
    if channel.input == "float32":
        return apply_fixed_float(form, plane_yx)
    offset = first_value(channel.input)
    result: NDArray[np.float32] = fixed_table(form)[plane_yx.astype(np.int64) - offset]
    return result
