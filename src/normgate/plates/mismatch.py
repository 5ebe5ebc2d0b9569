"""Saying in words how a loader's output of the probe differs from what is declared.

The sentence names the channel, an intensity, what it became and what was expected, and
what looks to be the cause. Axes: n units, c channels, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import describe_channel
from normgate.plates.probe import SIDE, normalized, probe_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.plates.probe import Output


def explain(spec: Spec, found: Output, expected: Output) -> str:
    """Say in a sentence or two where two outputs of the probe differ."""
    if found.full_cyx.shape != expected.full_cyx.shape:
        return (
            f"the loader makes {found.full_cyx.shape[0]} channels of "
            f"{found.full_cyx.shape[1:]} pixels of the probe; expected "
            f"{expected.full_cyx.shape[0]} of {expected.full_cyx.shape[1:]}"
        )
    wrong = _wrong_channels(found.full_cyx, expected.full_cyx)
    if wrong:
        return _explain_intensities(spec, found.full_cyx, expected.full_cyx, wrong)
    return _explain_geometry(spec, found, expected)


def _wrong_channels(
    found: NDArray[np.float32], expected: NDArray[np.float32]
) -> list[int]:
    """Channels (first axis) of which any output bit differs."""
    return [c for c in range(len(expected)) if not _same(found[c], expected[c])]


def _same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    a, b = np.ascontiguousarray(found), np.ascontiguousarray(expected)
    return bool(np.array_equal(a.view(np.uint32), b.view(np.uint32)))


def _explain_intensities(
    spec: Spec,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    wrong: list[int],
) -> str:
    """Name the channel whose cause is plain, or else the one that is furthest off."""
    planes = probe_planes(spec, (SIDE, SIDE))
    order = sorted(wrong, key=lambda c: -_largest(found[c], expected[c])[1])
    causes = {c: _cause(spec, planes, found[c], expected, c) for c in order}
    told = next((c for c in order if causes[c]), order[0])
    at, _ = _largest(found[told], expected[told])
    rest = _range_cause(planes[told], found[told], expected[told])
    return (
        f"the loader does not apply what the spec declares in {_names(spec, wrong)}: "
        f"in channel {spec.channels[told].name} intensity {planes[told].flat[at]:g} "
        f"becomes {found[told].flat[at]:.6g}, expected {expected[told].flat[at]:.6g} "
        f"({describe_channel(spec.channels[told])}). {causes[told] or rest}"
    )


def _cause(
    spec: Spec,
    planes: list[NDArray[Any]],
    found_yx: NDArray[np.float32],
    expected: NDArray[np.float32],
    channel: int,
) -> str:
    """The cause where it is plain, tried from the most telling on; else empty."""
    name = spec.channels[channel].name
    for other, rival in enumerate(spec.channels):
        if other == channel:
            continue
        if _same(found_yx, expected[other]):
            return f"It carries {rival.name}, picture and steps: channels are swapped"
        if _same(found_yx, _through(spec, planes, reads=channel, applies=other)):
            return f"It applies {rival.name}'s constants to {name}'s picture"
        if _same(found_yx, _through(spec, planes, reads=other, applies=channel)):
            return f"It reads {rival.name}'s picture: files are swapped"
    if _same(np.sort(found_yx, axis=None), np.sort(expected[channel], axis=None)):
        return (
            "Every output is there at another pixel: the picture is shifted or turned"
        )
    return _levels_cause(planes[channel], found_yx) or _affine_cause(
        found_yx, expected[channel]
    )


def _levels_cause(plane_yx: NDArray[Any], found_yx: NDArray[np.float32]) -> str:
    """Whether many intensities share an output in the midst of the range."""
    active, levels = _active(plane_yx, found_yx), len(np.unique(found_yx))
    if active is None or levels * 8 > active[1] - active[0]:
        return ""
    return (
        f"Intensities {active[0]:g}..{active[1]:g} give only {levels} different "
        "values: bits are lost before normalizing, as by a reduction to 8 bits"
    )


def _through(
    spec: Spec, planes: list[NDArray[Any]], *, reads: int, applies: int
) -> NDArray[np.float32]:
    """One channel's picture through another channel's steps."""
    steps = spec.channels[applies].model_copy(
        update={"input": spec.channels[reads].input}
    )
    alone = spec.model_copy(update={"channels": (steps,)})
    result: NDArray[np.float32] = normalized(alone, [planes[reads]])[0]
    return result


def _affine_cause(found: NDArray[np.float32], own: NDArray[np.float32]) -> str:
    """Whether the output is the expected one, scaled and shifted."""
    x, y = own.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    if not (np.ptp(x) > 0 and np.isfinite(y).all()):
        return ""
    gain = float(np.cov(x, y, ddof=0)[0, 1] / np.var(x))
    offset = float(y.mean() - gain * x.mean())
    if np.abs(gain * x + offset - y).max() > 1e-4 * max(np.ptp(y), 1e-30):
        return ""
    return (
        f"It is {gain:.6g} times the expected output plus {offset:.6g}: a step is "
        "applied twice, left out, or has other constants"
    )


def _range_cause(
    plane: NDArray[Any], found: NDArray[np.float32], own: NDArray[np.float32]
) -> str:
    """The intensities between which each output changes."""
    seen, declared = _active(plane, found), _active(plane, own)
    if seen == declared:
        return "Check the steps and their constants"
    if seen is None:
        return "It gives one single value for every intensity: the channel is dead"
    return (
        f"It answers to intensities {seen[0]:g}..{seen[1]:g}"
        + ("" if declared is None else f", declared {declared[0]:g}..{declared[1]:g}")
        + ": other percentiles are applied"
    )


def _active(
    plane: NDArray[Any], output: NDArray[np.float32]
) -> tuple[float, float] | None:
    """The last intensity of the low plateau and the first of the high one."""
    values, first = np.unique(plane, return_index=True)
    out = output.ravel()[first]
    changes = np.flatnonzero(out[1:] != out[:-1])
    if not len(changes):
        return None
    return float(values[changes[0]]), float(values[changes[-1] + 1])


def _explain_geometry(spec: Spec, found: Output, expected: Output) -> str:
    declared = "at full size every intensity agrees, so the window, the border rule, "
    declared += (
        "the resize or its order (normalize, then resize) is not the declared one"
    )
    if (
        found.keys != expected.keys
        or found.units_ncyx.shape != expected.units_ncyx.shape
    ):
        return (
            f"the loader cuts {len(found.keys)} units of shape "
            f"{found.units_ncyx.shape[1:]} from the probe; expected "
            f"{len(expected.keys)} of {expected.units_ncyx.shape[1:]}; {declared}"
        )
    by_channel = found.units_ncyx.swapaxes(0, 1), expected.units_ncyx.swapaxes(0, 1)
    wrong = _wrong_channels(*by_channel)
    worst = max(wrong, key=lambda c: _largest(by_channel[0][c], by_channel[1][c])[1])
    at, _ = _largest(by_channel[0][worst], by_channel[1][worst])
    unit, y, x = np.unravel_index(at, by_channel[1][worst].shape)
    return (
        f"the loader's units differ in {_names(spec, wrong)}: channel "
        f"{spec.channels[worst].name}, unit {found.keys[int(unit)][0]}, row {y}, "
        f"column {x} is {by_channel[0][worst][unit, y, x]:.6g}, expected "
        f"{by_channel[1][worst][unit, y, x]:.6g}; {declared}"
    )


def _names(spec: Spec, channels: list[int]) -> str:
    return ", ".join(spec.channels[c].name for c in channels)


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
