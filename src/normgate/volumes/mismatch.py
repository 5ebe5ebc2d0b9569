"""Saying in words how a loader's output of the probe differs from what is declared.

The sentence names the channel, an intensity, what it became and what was expected, and
what looks to be the cause. Axes: n patches, c channels, z slices, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import describe_channel, normal_form
from normgate.volumes.probe import FULL_SHAPE, normalized, probe_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.volumes.probe import Output

_CLOSE = 1e-4


def explain(spec: Spec, found: Output, expected: Output) -> str:
    """Say in a sentence or two where two outputs of the probe differ."""
    if found.full_czyx.shape != expected.full_czyx.shape:
        return (
            f"the loader makes {found.full_czyx.shape} values of the probe (channels, "
            f"slices, rows, columns); expected {expected.full_czyx.shape}"
        )
    wrong = _wrong(found.full_czyx, expected.full_czyx)
    if wrong:
        return _intensities(spec, found.full_czyx, expected.full_czyx, wrong)
    return _patches(spec, found, expected)


def _intensities(
    spec: Spec,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    wrong: list[int],
) -> str:
    """Name the channel whose cause is plain, or else the one that is furthest off."""
    planes = probe_planes(spec, FULL_SHAPE)
    order = sorted(wrong, key=lambda c: -_largest(found[c], expected[c])[1])
    causes = {c: _cause(spec, planes, found[c], expected, c) for c in order}
    told = next((c for c in order if causes[c]), order[0])
    at, _ = _largest(found[told], expected[told])
    return (
        f"the loader does not apply what the spec declares in {_names(spec, wrong)}: "
        f"in channel {spec.names[told]} intensity {planes[told].flat[at]:g} becomes "
        f"{found[told].flat[at]:.6g}, expected {expected[told].flat[at]:.6g} "
        f"({describe_channel(spec.channels[told])}). "
        f"{causes[told] or 'Check the steps and their constants'}"
    )


def _cause(
    spec: Spec,
    planes: list[NDArray[Any]],
    found_zyx: NDArray[np.float32],
    expected: NDArray[np.float32],
    channel: int,
) -> str:
    """The cause where it is plain, tried from the most telling on; else empty."""
    own = expected[channel]
    for other, rival in enumerate(spec.names):
        if other != channel and _same(found_zyx, expected[other]):
            return f"It carries {rival}: channels are swapped"
    if _same(np.sort(found_zyx, axis=None), np.sort(own, axis=None)):
        return "Every output is there at another voxel: the volume is shifted or turned"
    if not normal_form(spec.channels[channel]).fixed:
        alone = spec.model_copy(update={"channels": (spec.channels[channel],)})
        slices = [normalized(alone, [plane[None]])[0] for plane in planes[channel]]
        if _near(found_zyx, np.concatenate(slices)):
            return "Each slice is measured by itself, where the whole case should be"
    return _affine_cause(found_zyx, own)


def _affine_cause(found: NDArray[np.float32], own: NDArray[np.float32]) -> str:
    """Whether the output is the expected one, scaled and shifted."""
    x, y = own.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    if not (np.ptp(x) > 0 and np.isfinite(y).all()):
        return ""
    gain = float(np.cov(x, y, ddof=0)[0, 1] / np.var(x))
    offset = float(y.mean() - gain * x.mean())
    if np.abs(gain * x + offset - y).max() > _CLOSE * max(np.ptp(y), 1e-30):
        return ""
    return (
        f"It is {gain:.6g} times the expected output plus {offset:.6g}: a step is "
        "applied twice, left out, or has other constants"
    )


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
    wrong = _wrong(*by_channel)
    worst = max(wrong, key=lambda c: _largest(by_channel[0][c], by_channel[1][c])[1])
    at, _ = _largest(by_channel[0][worst], by_channel[1][worst])
    patch, *place = (int(i) for i in np.unravel_index(at, by_channel[1][worst].shape))
    unit, voxel = expected.boxes[patch].unit, tuple(place)
    return (
        f"the loader's patches differ in {_names(spec, wrong)}: channel "
        f"{spec.names[worst]}, patch {unit}, voxel {voxel} is "
        f"{by_channel[0][worst].flat[at]:.6g}, expected "
        f"{by_channel[1][worst].flat[at]:.6g}; {declared}"
    )


def _wrong(found: NDArray[np.float32], expected: NDArray[np.float32]) -> list[int]:
    """Channels (first axis) of which any output bit differs."""
    return [c for c in range(len(expected)) if not _same(found[c], expected[c])]


def _same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    a, b = np.ascontiguousarray(found), np.ascontiguousarray(expected)
    return bool(np.array_equal(a.view(np.uint32), b.view(np.uint32)))


def _near(found: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    gap = float(np.abs(found.astype(np.float64) - other).max())
    return gap <= _CLOSE * max(float(np.ptp(other)), 1e-30)


def _names(spec: Spec, channels: list[int]) -> str:
    return ", ".join(spec.names[c] for c in channels)


def _largest(
    found: NDArray[np.float32], expected: NDArray[np.float32]
) -> tuple[int, float]:
    """Where two outputs differ most (flat), and by how much; NaN counts most."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(found.astype(np.float64) - expected.astype(np.float64)).ravel()
    different = (
        np.ascontiguousarray(found).view(np.uint32)
        != np.ascontiguousarray(expected).view(np.uint32)
    ).ravel()
    gap[np.isnan(gap) & different] = np.inf
    gap[~different] = -1.0
    at = int(gap.argmax())
    return at, float(gap[at])
