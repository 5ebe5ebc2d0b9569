"""Which cells are neighbours: nearest ones, or those of a Delaunay triangulation.

Edges are plain arrays of places of cells, in both directions and sorted, so that a
graph library can take them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import Delaunay, QhullError, cKDTree

from normgate.acquisitions.cells import CellGraph, both_ways, squared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.cells import Cells
    from normgate.acquisitions.geometry import CellGeometry

_MORE = 8
"""Neighbours asked for beyond those wanted, so that ties fall to the lower place."""


def graph_of(cells: Cells, geometry: CellGeometry) -> CellGraph:
    """Join the cells of an acquisition."""
    positions_n2 = cells.positions_n2
    if geometry.edges == "knn":
        pairs = nearest(positions_n2, geometry.neighbours)
    else:
        pairs = triangulated(positions_n2)
    if geometry.reach_px:
        pairs = pairs[squared(positions_n2, pairs) <= geometry.reach_px**2]
    return CellGraph(cells=cells, edges_2e=both_ways(pairs))


def nearest(positions_n2: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Each cell with its nearest ones: (n, 2); of equally near ones the first counts.

    Args:
        positions_n2: Rows and columns.
        count: Neighbours of each cell, fewer where there are not so many.
    """
    cells = len(positions_n2)
    if cells < 2:
        return np.empty((0, 2), dtype=np.int64)
    asked = min(cells, count + 1 + _MORE)
    _, found = cKDTree(positions_n2.astype(np.float64)).query(positions_n2, k=asked)
    pairs = np.stack([np.repeat(np.arange(cells), asked), found.ravel()], axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int64)
    order = np.lexsort((pairs[:, 1], squared(positions_n2, pairs), pairs[:, 0]))
    pairs = pairs[order]
    first = np.searchsorted(pairs[:, 0], np.arange(cells))
    rank = np.arange(len(pairs)) - first[pairs[:, 0]]
    kept: NDArray[np.int64] = pairs[rank < count]
    return kept


def triangulated(positions_n2: NDArray[np.float32]) -> NDArray[np.int64]:
    """The edges of the Delaunay triangulation: (n, 2).

    Fewer than three cells, or all on one line, are joined one after the other.
    """
    places = positions_n2.astype(np.float64)
    try:
        corners = Delaunay(places).simplices.astype(np.int64)
    except (QhullError, ValueError):
        order = np.lexsort((places[:, 1], places[:, 0]))
        return np.stack([order[:-1], order[1:]], axis=1).astype(np.int64)
    return np.concatenate([corners[:, [a, b]] for a, b in ((0, 1), (1, 2), (0, 2))])
