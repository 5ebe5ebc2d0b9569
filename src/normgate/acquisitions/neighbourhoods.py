"""The cells of an acquisition in units of at most so many: near ones together.

Where an acquisition has more cells than a unit may, it is halved across its longer side
until every part has few enough; edges between two parts are lost. Units are padded to
one number of cells, so that they can be stacked. NumPy only.

Axes: u units, n cells (of all, or of a unit with its padding), c channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.cells import CellGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhoods:
    """The units of one acquisition, padded."""

    places_un: NDArray[np.int64]
    """Which cell of the acquisition each is; -1 for padding."""
    joined_unn: NDArray[np.bool_]
    """Which cells are neighbours; each cell is its own, padding is nobody's."""

    def gathered(self, values_n: NDArray[Any]) -> NDArray[Any]:
        """What each cell has (n, ...), unit by unit (u, n, ...); padding has 0."""
        real = self.places_un >= 0
        shape = (*self.places_un.shape, *values_n.shape[1:])
        found = np.zeros(shape, dtype=values_n.dtype)
        found[real] = values_n[self.places_un[real]]
        return found


def neighbourhoods(
    graph: CellGraph, parts_n: NDArray[np.int64], most: int
) -> Neighbourhoods:
    """Cut a graph into its units.

    Args:
        graph: All cells of an acquisition.
        parts_n: The unit of each; see `parts_of`.
        most: Cells of a unit, padding included.
    """
    cells = len(parts_n)
    units = int(parts_n.max()) + 1 if cells else 0
    order = np.argsort(parts_n, kind="stable")
    first = np.searchsorted(parts_n[order], np.arange(units))
    rank_n = np.empty(cells, dtype=np.int64)
    rank_n[order] = np.arange(cells) - first[parts_n[order]]
    places_un = np.full((units, most), -1, dtype=np.int64)
    places_un[parts_n, rank_n] = np.arange(cells)
    joined_unn = np.zeros((units, most, most), dtype=np.bool_)
    joined_unn[parts_n, rank_n, rank_n] = True
    own_2e = parts_n[graph.edges_2e]
    one, two = graph.edges_2e[:, own_2e[0] == own_2e[1]]
    joined_unn[parts_n[one], rank_n[one], rank_n[two]] = True
    return Neighbourhoods(places_un=places_un, joined_unn=joined_unn)


def parts_of(positions_n2: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """The unit of each cell: halves across the longer side, until all are few enough.

    Of equally long sides rows are cut; of cells at one place the first comes first.

    Args:
        positions_n2: Rows and columns.
        most: Cells of a unit.
    """
    parts_n = np.zeros(len(positions_n2), dtype=np.int64)
    waiting, done = [np.arange(len(positions_n2))], 0
    while waiting:
        cells = waiting.pop()
        if len(cells) <= most:
            parts_n[cells] = done
            done += 1
            continue
        own = positions_n2[cells]
        axis = int(np.argmax(np.ptp(own, axis=0)))
        ranked = cells[np.lexsort((cells, own[:, 1 - axis], own[:, axis]))]
        half = len(cells) // 2
        waiting += [np.sort(ranked[half:]), np.sort(ranked[:half])]
    return parts_n
