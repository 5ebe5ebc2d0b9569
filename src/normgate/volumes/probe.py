"""The probe of volumes: what a spec and a geometry must make of known volumes.

Declared is not applied. So a pair of volumes that hold every intensity is written as
NIfTI and goes through the very reader, loader, normalizer and cutting in use; the
digest of what comes out is the applied fingerprint. Here stand the probe and the
expected fingerprint, NumPy alone, steps that are measured on each case included, so
that a registry server can compute it; `applied` measures and compares.

The probe has two parts. The whole volume shows what each intensity becomes; another one
is cut by the model's own geometry and shows patches and borders. Both are stacks of
slices that differ, so that statistics of a slice are not those of the case.

Axes: n patches, c channels, z slices, y rows, x columns.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract.ct import CT, MRI, modality
from normgate.errors import DataError, SpecError
from normgate.transform.reference import canonical, normalized
from normgate.volumes.geometry import Box, VolumeGeometry, boxes, crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import InputType, Spec

FULL_SHAPE = (16, 32, 128)
"""Slices, rows and columns that hold every 16-bit value once."""
_FORMAT = b"normgate.volume-probe/1\n"
_LEAST = (8, 64, 1)
"""So many voxels that every mask of a sensible step keeps some."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a loader makes of the probe, or must make of it."""

    full_czyx: NDArray[np.float32]
    """Every intensity, as a whole volume."""
    patches: NDArray[np.float32]
    """The patches of the model's geometry, (n, c, *patch)."""
    boxes: tuple[Box, ...]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of shapes, places and every output bit, in hex."""
        digest = hashlib.sha256(_FORMAT)
        places = [tuple(box) for box in self.boxes]
        digest.update(f"{self.full_czyx.shape}{self.patches.shape}{places}\n".encode())
        for array in (self.full_czyx, self.patches):
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()


def expected_fingerprint(spec: Spec, geometry: VolumeGeometry) -> str:
    """The fingerprint of a loader that applies a spec and a geometry as declared.

    Args:
        spec: What is declared.
        geometry: How volumes are cut.

    Returns:
        64 hex digits.

    Raises:
        SpecError: A channel is neither MRI nor CT, channels of one modality differ in
            type, or the probe is degenerate under it.
    """
    return expected_output(spec, geometry).fingerprint


def expected_output(spec: Spec, geometry: VolumeGeometry) -> Output:
    """What a spec and a geometry make of the probe.

    Raises:
        SpecError: As `expected_fingerprint`.
    """
    shape = probe_shape(geometry)
    found = boxes(geometry, shape)
    try:
        full = normalized(spec, probe_planes(spec, FULL_SHAPE))
        volumes = normalized(spec, probe_planes(spec, shape))
    except DataError as error:
        raise SpecError(f"the probe of this spec can't be made: {error}") from error
    patches = np.empty((len(found), len(volumes), *geometry.patch), dtype=np.float32)
    for c, volume_zyx in enumerate(volumes):
        for n, box in enumerate(found):
            patches[n, c] = crop(volume_zyx, box, geometry, float(volume_zyx.min()))
    return Output(full, patches, found)


def probe_shape(geometry: VolumeGeometry) -> tuple[int, int, int]:
    """Slices, rows and columns of the part that is cut.

    Rows need several patches with a rest, columns are shorter than one, and there are
    more slices than a patch has.
    """
    slices, rows, columns = geometry.patch_zyx
    return (
        max(slices + slices // 2 + 2, _LEAST[0]),
        max(2 * rows + rows // 3 + 1, _LEAST[1]),
        max(columns * 2 // 3, _LEAST[2]),
    )


def probe_voxels(spec: Spec, geometry: VolumeGeometry) -> int:
    """How many values the expected output has, so that a server can refuse too many."""
    shape = probe_shape(geometry)
    patches = len(boxes(geometry, shape)) * math.prod(geometry.patch)
    return len(spec.channels) * (math.prod(FULL_SHAPE) + math.prod(shape) + patches)


def volume_types(spec: Spec) -> dict[str, InputType]:
    """The type that each modality's volume has.

    Raises:
        SpecError: A channel is neither MRI nor CT, or channels of one modality differ.
    """
    types: dict[str, InputType] = {}
    for channel in spec.channels:
        kind = modality(channel.name)
        if types.setdefault(kind, channel.input) != channel.input:
            raise SpecError(
                f"channel {channel.name!r} takes {channel.input} and other channels of "
                f"{kind} {types[kind]}; one volume has one type"
            )
    return types


def probe_volumes(
    spec: Spec, shape_zyx: tuple[int, int, int]
) -> dict[str, NDArray[Any]]:
    """The probe's volume of each modality: every value of its type, in its own order.

    Of float32 the values are those of float16, the infinite ones replaced.
    """
    types = {MRI: "float32", CT: "float32", **volume_types(spec)}
    return {
        kind: canonical(types[kind], place, shape_zyx)
        for place, kind in enumerate((MRI, CT))
    }


def probe_planes(spec: Spec, shape_zyx: tuple[int, int, int]) -> list[NDArray[Any]]:
    """One volume a channel, in the spec's order."""
    volumes = probe_volumes(spec, shape_zyx)
    return [volumes[modality(channel.name)] for channel in spec.channels]
