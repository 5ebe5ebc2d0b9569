"""Saying in words how a loader's output of the probe differs from what is declared.

The sentence names the channel, an intensity, what it became and what was expected, and
what looks to be the cause. Axes: n units or cells, c channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.geometry import CellGeometry
from normgate.acquisitions.probe import FULL_SHAPE, probe_planes
from normgate.contract import Spec, normal_form
from normgate.transform.outputs import (
    affine_cause,
    intensities,
    largest,
    names,
    same,
    swapped_cause,
    wrong_channels,
)
from normgate.transform.reference import normalized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.geometry import Geometry
    from normgate.acquisitions.probe import Output


def explain(spec: Spec, geometry: Geometry, found: Output, expected: Output) -> str:
    """Say in a sentence or two where two outputs of the probe differ."""
    seen, declared = found.full_cyx, expected.full_cyx
    if seen.shape != declared.shape:
        return (
            f"the loader makes {seen.shape} values of the probe (channels, rows, "
            f"columns); expected {declared.shape}"
        )
    if wrong_channels(seen, declared):
        planes = probe_planes(spec, FULL_SHAPE)
        return intensities(
            spec,
            planes,
            seen,
            declared,
            lambda c: (
                _read_cause(spec, planes, seen, c)
                or swapped_cause(spec, seen, declared, c)
                or affine_cause(seen[c], declared[c])
            ),
        )
    if isinstance(geometry, CellGeometry):
        return _cells(spec, found, expected)
    return _grids(spec, found, expected)


def _read_cause(
    spec: Spec,
    planes: list[NDArray[Any]],
    seen: NDArray[np.float32],
    channel: int,
) -> str:
    """Whether a channel's own steps were applied to another marker's plane."""
    own = spec.channels[channel]
    if not normal_form(own).fixed:
        return ""
    for other, rival in enumerate(spec.channels):
        alone = Spec(channels=(own.model_copy(update={"input": rival.input}),))
        # A few pixels rule nearly every rival out.
        for rows in (1, None):
            made = normalized(alone, [planes[other][:rows]])[0]
            if other == channel or not same(made, seen[channel][:rows]):
                break
        else:
            return (
                f"It is made of {rival.name}'s plane: planes are bound by where they "
                "stand, or names are exchanged"
            )
    return ""


_AGREE = "as whole planes every intensity agrees, so"


def _grids(spec: Spec, found: Output, expected: Output) -> str:
    declared = (
        f"{_AGREE} a declared scale, the order (normalize, then pool), the grid, the "
        "pool or the place of units is not followed"
    )
    same_places = np.array_equal(found.places_n2, expected.places_n2)
    if not same_places or found.units.shape != expected.units.shape:
        return (
            f"the loader cuts {len(found.units)} units of shape "
            f"{found.units.shape[1:]} from the probe; expected {len(expected.units)} "
            f"of {expected.units.shape[1:]} at {_first(expected)}; {declared}"
        )
    return f"the loader's nodes differ in {_worst(spec, found, expected)}; {declared}"


def _cells(spec: Spec, found: Output, expected: Output) -> str:
    if not np.array_equal(found.places_n2, expected.places_n2):
        return (
            f"the loader finds {len(found.places_n2)} cells, the first at "
            f"{_first(found)}; expected {len(expected.places_n2)} at "
            f"{_first(expected)}: {_AGREE} cells are not the mask's"
        )
    if found.units.shape != expected.units.shape or wrong_channels(
        found.units.T, expected.units.T
    ):
        return (
            f"the loader's cells differ in {_worst(spec, found, expected)}; {_AGREE} a "
            "declared scale, the mean over a cell's pixels or the order (normalize, "
            "then mean) is not followed"
        )
    if np.array_equal(found.edges_2e, expected.edges_2e):
        return (
            f"the loader cuts the probe's places into {found.parts_n.max() + 1} units "
            f"of cells; expected {expected.parts_n.max() + 1}, and every cell and edge "
            "agrees, so the number of cells of a unit or the cut is not followed"
        )
    return (
        f"the loader joins the probe's cells by {found.edges_2e.shape[1]} edges; "
        f"expected {expected.edges_2e.shape[1]}, and every cell agrees, so the kind of "
        "edges, the number of neighbours or the reach is not followed"
    )


def _worst(spec: Spec, found: Output, expected: Output) -> str:
    by_channel = found.units.swapaxes(0, 1), expected.units.swapaxes(0, 1)
    wrong = wrong_channels(*by_channel)
    worst = max(wrong, key=lambda c: largest(by_channel[0][c], by_channel[1][c])[1])
    at, _ = largest(by_channel[0][worst], by_channel[1][worst])
    unit, *place = (int(i) for i in np.unravel_index(at, by_channel[1][worst].shape))
    where = f"unit {unit}" + (f", node {tuple(place)}" if place else "")
    return (
        f"{names(spec, wrong)}: channel {spec.names[worst]}, {where} is "
        f"{by_channel[0][worst].flat[at]:.6g}, expected "
        f"{by_channel[1][worst].flat[at]:.6g}"
    )


def _first(output: Output) -> str:
    return str(tuple(float(v) for v in output.places_n2[0]))
