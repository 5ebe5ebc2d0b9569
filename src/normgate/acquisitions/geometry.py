"""Geometry: what units of an acquisition a model sees, grids of nodes or cell graphs.

Every channel is normalized as a whole plane first, by statistics of the whole
acquisition; nodes and cells are means of normalized values. A model's geometry is part
of its card and covered by the applied fingerprint. NumPy only.

`_cyx` arrays are (channels, rows, columns); `_cij` are (channels, node rows, node
columns) of one grid; `_n` counts units.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Place = Literal["tiles", "center"]
Edges = Literal["knn", "delaunay"]
GridOrder = Literal["normalize-then-pool"]
CellOrder = Literal["normalize-then-mean"]
Statistics = Literal["acquisition"]
MAX_SIDE = 4096
MAX_PIXELS = 1 << 20
"""Most pixels under one grid."""
MAX_NEIGHBOURS = 64
MAX_CELLS = 256
VIEWS = 8
"""Turns and mirrorings of a square."""


class Box(NamedTuple):
    """A unit's number among all of its acquisition, and its first pixel."""

    unit: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GridGeometry:
    """Acquisitions as grids of nodes, each the mean of a square of pixels."""

    kind: Literal["grid"] = "grid"
    grid: tuple[int, int]
    """Node rows and columns of one unit, such as (6, 6)."""
    pool: int = 1
    """Side in pixels of the square that one node is the mean of; 1 for raw pixels."""
    place: Place = "tiles"
    """Units side by side, what is left over lost evenly; or one in the middle."""
    order: GridOrder = "normalize-then-pool"
    statistics: Statistics = "acquisition"
    """What is measured on a sample is measured on the whole acquisition."""

    def __post_init__(self) -> None:
        """Refuse a geometry that can't be followed.

        Raises:
            SettingsError: With the field, its value and what is expected.
        """
        _check(self, _GRID_ALLOWED)
        sides = (*self.grid, self.pool)
        whole = all(type(n) is int and 1 <= n <= MAX_SIDE for n in sides)
        if len(self.grid) != 2 or not whole or self._pixels > MAX_PIXELS:
            raise SettingsError(
                f"geometry grid is {self.grid} and pool {self.pool}; expected rows, "
                f"columns and pool from 1, and at most {MAX_PIXELS} pixels a unit"
            )

    @property
    def window_yx(self) -> tuple[int, int]:
        """Rows and columns of pixels under one unit."""
        rows, columns = self.grid
        return rows * self.pool, columns * self.pool

    @property
    def _pixels(self) -> int:
        return self.window_yx[0] * self.window_yx[1]

    def to_json(self) -> dict[str, Any]:
        """The geometry as plain JSON values, every field present."""
        return asdict(self) | {"grid": list(self.grid)}

    @property
    def digest(self) -> str:
        """The SHA-256 of the fields, in hex."""
        return _digest(self.to_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGeometry:
    """Acquisitions as graphs of cells, each the mean over its pixels."""

    kind: Literal["cells"] = "cells"
    edges: Edges = "knn"
    """Each cell's nearest cells, or the neighbours of the Delaunay triangulation."""
    neighbours: int = 6
    """How many nearest cells; of no effect for Delaunay."""
    reach_px: float = 0.0
    """Longest edge in pixels; 0 for any length."""
    cells: int = 32
    """Most cells of one unit; an acquisition of more is halved until they fit."""
    order: CellOrder = "normalize-then-mean"
    statistics: Statistics = "acquisition"
    """What is measured on a sample is measured on the whole acquisition."""

    def __post_init__(self) -> None:
        """Refuse a geometry that can't be followed.

        Raises:
            SettingsError: With the field, its value and what is expected.
        """
        _check(self, _CELLS_ALLOWED)
        count, reach = self.neighbours, self.reach_px
        if type(count) is not int or not 1 <= count <= MAX_NEIGHBOURS:
            raise SettingsError(
                f"geometry neighbours is {count!r}; expected 1 to {MAX_NEIGHBOURS}"
            )
        if type(reach) not in (int, float) or not 0 <= reach < float("inf"):
            raise SettingsError(f"geometry reach_px is {reach!r}; expected 0 or more")
        if type(self.cells) is not int or not 2 <= self.cells <= MAX_CELLS:
            raise SettingsError(
                f"geometry cells is {self.cells!r}; expected 2 to {MAX_CELLS}"
            )

    def to_json(self) -> dict[str, Any]:
        """The geometry as plain JSON values, every field present."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """The SHA-256 of the fields, in hex."""
        return _digest(self.to_json())


Geometry = GridGeometry | CellGeometry
_GRID_ALLOWED: dict[str, tuple[object, ...]] = {
    "kind": ("grid",),
    "place": get_args(Place),
    "order": get_args(GridOrder),
    "statistics": get_args(Statistics),
}
_CELLS_ALLOWED: dict[str, tuple[object, ...]] = {
    "kind": ("cells",),
    "edges": get_args(Edges),
    "order": get_args(CellOrder),
    "statistics": get_args(Statistics),
}


def geometry_from_json(values: Mapping[str, Any]) -> Geometry:
    """Read what `to_json` gave.

    Raises:
        SettingsError: A field is missing, unknown or out of range.
    """
    kind = GridGeometry if values.get("kind") == "grid" else CellGeometry
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        odd = ", ".join(sorted(map(str, set(values) ^ names)))
        raise SettingsError(f"geometry has missing or unknown fields: {odd}")
    if kind is CellGeometry:
        return CellGeometry(**values)
    if not isinstance(values["grid"], list | tuple):
        raise SettingsError(f"geometry grid is {values['grid']!r}, not a list")
    return GridGeometry(**{**values, "grid": tuple(values["grid"])})


def boxes(geometry: GridGeometry, shape_yx: tuple[int, int]) -> tuple[Box, ...]:
    """The units of an acquisition, in the order of rows and columns.

    Returns:
        Nothing where the acquisition is smaller than a unit.
    """
    starts = [
        _starts(length, side, geometry.place)
        for length, side in zip(shape_yx, geometry.window_yx, strict=True)
    ]
    corners = [(y, x) for y in starts[0] for x in starts[1]]
    return tuple(Box(unit, y, x) for unit, (y, x) in enumerate(corners))


def nodes(
    image_cyx: NDArray[np.float32], box: Box, geometry: GridGeometry
) -> NDArray[np.float32]:
    """The nodes of one unit: (channels, node rows, node columns).

    A node is the sum of its pixels row by row in binary64, divided by their number and
    rounded once, so that every implementation gives the same bits.
    """
    rows, columns = geometry.window_yx
    window = image_cyx[:, box.y : box.y + rows, box.x : box.x + columns]
    pool = geometry.pool
    if pool == 1:
        return window.copy()
    total = np.zeros((len(window), *geometry.grid), dtype=np.float64)
    for y in range(pool):
        for x in range(pool):
            total += window[:, y::pool, x::pool]
    return (total / pool**2).astype(np.float32)


def view(nodes_cij: NDArray[Any], number: int) -> NDArray[Any]:
    """One of the eight turns and mirrorings (D4) of a grid.

    Args:
        nodes_cij: The last two axes are turned.
        number: 0 to 3 turn counter-clockwise so often; 4 to 7 mirror left and right
            first.
    """
    if not 0 <= number < VIEWS:
        raise SettingsError(f"view {number} of a grid; expected 0 to {VIEWS - 1}")
    flipped = nodes_cij[..., ::-1] if number >= 4 else nodes_cij
    return np.ascontiguousarray(np.rot90(flipped, number % 4, axes=(-2, -1)))


def view_orders(side: int) -> NDArray[np.int64]:
    """Which node of a square grid each node of each view is.

    Args:
        side: Node rows, as many as columns.

    Returns:
        (8, side * side): `view(x, v).ravel() == x.ravel()[view_orders(side)[v]]`.
    """
    numbers = np.arange(side * side).reshape(side, side)
    return np.stack([view(numbers, v).ravel() for v in range(VIEWS)])


def _starts(length: int, side: int, place: Place) -> list[int]:
    """Where units begin along one axis."""
    count = min(length // side, 1) if place == "center" else length // side
    first = (length - count * side) // 2
    return [first + i * side for i in range(count)]


def _check(geometry: object, allowed: Mapping[str, tuple[object, ...]]) -> None:
    for name, values in allowed.items():
        found = getattr(geometry, name)
        if found not in values:
            raise SettingsError(
                f"geometry {name} is {found!r}; expected one of "
                + ", ".join(map(str, values))
            )


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
