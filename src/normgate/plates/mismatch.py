"""Saying in words how a loader's output of the probe differs from what is declared.

The sentence names the channel, an intensity, what it became and what was expected, and
what looks to be the cause. Axes: n units, c channels, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.plates.probe import SIDE, normalized, probe_planes
from normgate.transform.outputs import (
    affine_cause,
    intensities,
    largest,
    names,
    same,
    wrong_channels,
)

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
    if wrong_channels(found.full_cyx, expected.full_cyx):
        planes = probe_planes(spec, (SIDE, SIDE))
        seen, declared = found.full_cyx, expected.full_cyx
        return intensities(
            spec,
            planes,
            seen,
            declared,
            lambda c: _cause(spec, planes, seen[c], declared, c),
            lambda c: _range_cause(planes[c], seen[c], declared[c]),
        )
    return _explain_geometry(spec, found, expected)


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
        if same(found_yx, expected[other]):
            return f"It carries {rival.name}, picture and steps: channels are swapped"
        if same(found_yx, _through(spec, planes, reads=channel, applies=other)):
            return f"It applies {rival.name}'s constants to {name}'s picture"
        if same(found_yx, _through(spec, planes, reads=other, applies=channel)):
            return f"It reads {rival.name}'s picture: files are swapped"
    if same(np.sort(found_yx, axis=None), np.sort(expected[channel], axis=None)):
        return (
            "Every output is there at another pixel: the picture is shifted or turned"
        )
    return _levels_cause(planes[channel], found_yx) or affine_cause(
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
    wrong = wrong_channels(*by_channel)
    worst = max(wrong, key=lambda c: largest(by_channel[0][c], by_channel[1][c])[1])
    at, _ = largest(by_channel[0][worst], by_channel[1][worst])
    unit, y, x = np.unravel_index(at, by_channel[1][worst].shape)
    return (
        f"the loader's units differ in {names(spec, wrong)}: channel "
        f"{spec.channels[worst].name}, unit {found.keys[int(unit)][0]}, row {y}, "
        f"column {x} is {by_channel[0][worst][unit, y, x]:.6g}, expected "
        f"{by_channel[1][worst][unit, y, x]:.6g}; {declared}"
    )
