"""The probe of acquisitions: what a spec and a geometry must make of known planes.

Declared is not applied. So planes that hold every intensity are written in the data's
own format, their channels in another order and with one among them that the spec does
not know, and go through the very reader, loader and normalizer in use; the digest of
what comes out is the applied fingerprint. Here stand the probe and the expected
fingerprint, NumPy alone, so that a registry server can compute it; `applied` measures
and compares.

The probe has two parts. The whole planes show what each intensity becomes; others are
cut into grids or measured as cells by the model's own geometry. How many cells make a
unit is asked with places alone, one more of them than two units hold.

Axes: n units or cells, c channels, y rows, x columns, e edges.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.cells import both_ways, cells_of, squared
from normgate.acquisitions.geometry import CellGeometry, boxes, nodes
from normgate.acquisitions.neighbourhoods import parts_of
from normgate.errors import DataError, SpecError
from normgate.transform.reference import canonical, normalized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.geometry import Geometry
    from normgate.contract import Spec

FULL_SHAPE = (256, 256)
"""Rows and columns that hold every 16-bit value once."""
CELLS_SHAPE = (61, 83)
_CELLS = 14
_FORMAT = b"normgate.acquisition-probe/1\n"
_LEAST = 8
"""Rows and columns at the least, so that a plane has a spread."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a loader makes of the probe, or must make of it."""

    full_cyx: NDArray[np.float32]
    """Every intensity, as whole planes."""
    units: NDArray[np.float32]
    """Nodes of grids (n, c, i, j), or means of cells (n, c)."""
    places_n2: NDArray[np.float32]
    """Row and column of each unit's first pixel, or of each cell's middle."""
    edges_2e: NDArray[np.int64]
    """Which cells are neighbours; none for grids."""
    parts_n: NDArray[np.int64]
    """The unit of each of `probe_places`; none for grids."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of shapes, places, edges and every output bit, in hex."""
        digest = hashlib.sha256(_FORMAT)
        shapes = (self.full_cyx.shape, self.units.shape, self.edges_2e.shape)
        digest.update(f"{shapes}\n".encode())
        for array in (self.full_cyx, self.units, self.places_n2):
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        for whole in (self.edges_2e, self.parts_n):
            digest.update(np.ascontiguousarray(whole, dtype="<i8").tobytes())
        return digest.hexdigest()


def expected_fingerprint(spec: Spec, geometry: Geometry) -> str:
    """The fingerprint of a loader that applies a spec and a geometry as declared.

    Args:
        spec: What is declared.
        geometry: How acquisitions become units.

    Returns:
        64 hex digits.

    Raises:
        SpecError: The probe is degenerate under the spec.
    """
    return expected_output(spec, geometry).fingerprint


def expected_output(spec: Spec, geometry: Geometry) -> Output:
    """What a spec and a geometry make of the probe.

    Raises:
        SpecError: As `expected_fingerprint`.
    """
    shape = probe_shape(geometry)
    try:
        full_cyx = normalized(spec, probe_planes(spec, FULL_SHAPE))
        image_cyx = normalized(spec, probe_planes(spec, shape))
    except DataError as error:
        raise SpecError(f"the probe of this spec can't be made: {error}") from error
    if isinstance(geometry, CellGeometry):
        cells = cells_of(image_cyx, probe_labels())
        pairs = _neighbours(cells.positions_n2, geometry)
        edges_2e = both_ways(pairs)
        parts_n = parts_of(probe_places(geometry), geometry.cells)
        return Output(full_cyx, cells.means_nc, cells.positions_n2, edges_2e, parts_n)
    found = boxes(geometry, shape)
    units = np.stack([nodes(image_cyx, box, geometry) for box in found])
    return Output(full_cyx, units, corners(found), *no_cells())


def no_cells() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The edges and parts of a grid."""
    return np.empty((2, 0), dtype=np.int64), np.empty(0, dtype=np.int64)


def corners(found: tuple[Any, ...]) -> NDArray[np.float32]:
    """Row and column of the first pixel of each unit of a grid."""
    return np.array([(box.y, box.x) for box in found], dtype=np.float32)


def probe_shape(geometry: Geometry) -> tuple[int, int]:
    """Rows and columns of the part that is cut: several units, and a rest."""
    if isinstance(geometry, CellGeometry):
        return CELLS_SHAPE
    rows, columns = geometry.window_yx
    return (
        max(2 * rows + rows // 2 + 1, _LEAST),
        max(columns + columns // 3 + 2, _LEAST),
    )


def probe_values(spec: Spec, geometry: Geometry) -> int:
    """How many values the expected output has, so that a server can refuse too many."""
    rows, columns = probe_shape(geometry)
    full = FULL_SHAPE[0] * FULL_SHAPE[1]
    return len(spec.channels) * (full + 3 * rows * columns)


def probe_planes(spec: Spec, shape_yx: tuple[int, int]) -> list[NDArray[Any]]:
    """One plane a channel: every value of its type, differently placed in each."""
    return [
        canonical(channel.input, place, shape_yx)
        for place, channel in enumerate(spec.channels)
    ]


def probe_labels() -> NDArray[np.int64]:
    """A label image of cells of several sizes, their labels in no order of place."""
    labels_yx = np.zeros(CELLS_SHAPE, dtype=np.int64)
    for number in range(_CELLS):
        row, column = divmod(number, 5)
        y = 3 + 19 * row + (7 * number) % 9
        x = 2 + 16 * column + (5 * number) % 7
        height, width = 3 + number % 4, 2 + (3 * number) % 5
        label = 3 + (11 * number) % 43
        labels_yx[y : y + height, x : x + width] = label
    return labels_yx


def probe_places(geometry: CellGeometry) -> NDArray[np.float32]:
    """Places (n, 2) of one cell more than two units hold, evenly strewn, none alike.

    Halved, they are as many as a unit holds and one more: a cut that lets a unit have
    one cell more or less makes other parts of them.
    """
    number = np.arange(2 * geometry.cells + 1, dtype=np.float64)[:, None]
    # The plastic ratio's powers: Roberts' R2 sequence.
    steps = np.array([0.7548776662466927, 0.5698402909980532])
    places: NDArray[np.float32] = (number * steps % 1.0 * (900.0, 1000.0)).astype(
        np.float32
    )
    return places


def _neighbours(
    positions_n2: NDArray[np.float32], geometry: CellGeometry
) -> NDArray[np.int64]:
    """The edges by definition: too slow for an acquisition, and without scipy."""
    if geometry.edges == "knn":
        pairs = _nearest(positions_n2, geometry.neighbours)
    else:
        pairs = _triangulated(positions_n2.astype(np.float64))
    if geometry.reach_px:
        pairs = pairs[squared(positions_n2, pairs) <= geometry.reach_px**2]
    return pairs


def _nearest(positions_n2: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    cells = len(positions_n2)
    every = np.array(list(itertools.permutations(range(cells), 2)), dtype=np.int64)
    order = np.lexsort((every[:, 1], squared(positions_n2, every), every[:, 0]))
    ranked = every[order].reshape(cells, cells - 1, 2)
    return ranked[:, :count].reshape(-1, 2)


def _triangulated(places_n2: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sides of all triangles whose circumcircle holds no other cell."""
    pairs: set[tuple[int, int]] = set()
    for three in itertools.combinations(range(len(places_n2)), 3):
        a, b, c = places_n2[list(three)]
        sides = 2 * np.array([b - a, c - a])
        if abs(np.linalg.det(sides)) < 1e-9:
            continue
        squares = np.array([b @ b - a @ a, c @ c - a @ a])
        middle = np.linalg.solve(sides, squares)
        away = ((places_n2 - middle) ** 2).sum(axis=1)
        away[list(three)] = np.inf
        if away.min() > ((a - middle) ** 2).sum():
            pairs |= set(itertools.combinations(three, 2))
    return np.array(sorted(pairs), dtype=np.int64)
