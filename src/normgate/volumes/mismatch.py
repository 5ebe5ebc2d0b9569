"""Saying in words how a loader's output of the probe differs from what is declared.

The sentence names the channel, an intensity, what it became and what was expected, and
what looks to be the cause. Axes: n patches, c channels, z slices, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import normal_form
from normgate.transform.outputs import (
    affine_cause,
    intensities,
    largest,
    names,
    near,
    swapped_cause,
    wrong_channels,
)
from normgate.transform.reference import normalized
from normgate.volumes.probe import FULL_SHAPE, probe_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.volumes.probe import Output


def explain(spec: Spec, found: Output, expected: Output) -> str:
    """Say in a sentence or two where two outputs of the probe differ."""
    if found.full_czyx.shape != expected.full_czyx.shape:
        return (
            f"the loader makes {found.full_czyx.shape} values of the probe (channels, "
            f"slices, rows, columns); expected {expected.full_czyx.shape}"
        )
    if wrong_channels(found.full_czyx, expected.full_czyx):
        planes = probe_planes(spec, FULL_SHAPE)
        seen, declared = found.full_czyx, expected.full_czyx
        return intensities(
            spec,
            planes,
            seen,
            declared,
            lambda c: _cause(spec, planes, seen, declared, c),
        )
    return _patches(spec, found, expected)


def _cause(
    spec: Spec,
    planes: list[NDArray[Any]],
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    channel: int,
) -> str:
    """The cause where it is plain, tried from the most telling on; else empty."""
    swapped = swapped_cause(spec, found, expected, channel, "volume")
    if swapped:
        return swapped
    if not normal_form(spec.channels[channel]).fixed:
        alone = spec.model_copy(update={"channels": (spec.channels[channel],)})
        slices = [normalized(alone, [plane[None]])[0] for plane in planes[channel]]
        if near(found[channel], np.concatenate(slices)):
            return "Each slice is measured by itself, where the whole case should be"
    return affine_cause(found[channel], expected[channel])


def _patches(spec: Spec, found: Output, expected: Output) -> str:
    declared = (
        "as a plain whole volume every intensity agrees, so a slope and intercept in "
        "the file, a declared rescale, the order (normalize, then crop), the border or "
        "the place of patches is not followed"
    )
    same_places = found.boxes == expected.boxes
    if not same_places or found.patches.shape != expected.patches.shape:
        return (
            f"the loader cuts {len(found.patches)} patches of shape "
            f"{found.patches.shape[1:]} from the probe; expected "
            f"{len(expected.patches)} of {expected.patches.shape[1:]}; {declared}"
        )
    by_channel = found.patches.swapaxes(0, 1), expected.patches.swapaxes(0, 1)
    wrong = wrong_channels(*by_channel)
    worst = max(wrong, key=lambda c: largest(by_channel[0][c], by_channel[1][c])[1])
    at, _ = largest(by_channel[0][worst], by_channel[1][worst])
    patch, *place = (int(i) for i in np.unravel_index(at, by_channel[1][worst].shape))
    unit, voxel = expected.boxes[patch].unit, tuple(place)
    return (
        f"the loader's patches differ in {names(spec, wrong)}: channel "
        f"{spec.names[worst]}, patch {unit}, voxel {voxel} is "
        f"{by_channel[0][worst].flat[at]:.6g}, expected "
        f"{by_channel[1][worst].flat[at]:.6g}; {declared}"
    )
