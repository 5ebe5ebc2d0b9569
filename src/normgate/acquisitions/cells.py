"""Cells of a label image: their mean intensities and their places. NumPy only.

`_nc` arrays are (cells, channels), `_n2` (cells, 2) as row and column in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of one acquisition, in the order of their labels."""

    labels: NDArray[np.int64]
    """The label of each in the mask."""
    means_nc: NDArray[np.float32]
    """Mean of each channel over the cell's pixels."""
    positions_n2: NDArray[np.float32]
    """Mean row and column of its pixels."""
    areas: NDArray[np.int64]
    """Pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGraph:
    """The cells of one acquisition and which of them are neighbours."""

    cells: Cells
    edges_2e: NDArray[np.int64]
    """Pairs of places of cells, each pair in both directions, sorted."""


def cells_of(image_cyx: NDArray[np.float32], labels_yx: NDArray[np.int64]) -> Cells:
    """Measure the cells of a label image.

    Sums run over pixels row by row in binary64 and are rounded once.

    Args:
        image_cyx: Normalized planes.
        labels_yx: Of the same rows and columns; 0 is no cell.
    """
    labels, where = np.unique(labels_yx.ravel(), return_inverse=True)
    cells = labels > 0
    areas = np.bincount(where, minlength=len(labels))

    def means(values: NDArray[Any]) -> NDArray[np.float32]:
        sums = np.bincount(where, weights=values.ravel(), minlength=len(labels))
        return (sums[cells] / areas[cells]).astype(np.float32)

    axes_2yx = np.indices(labels_yx.shape, dtype=np.float64)
    means_nc = np.stack([means(image_cyx[c]) for c in range(len(image_cyx))], axis=1)
    return Cells(
        labels=labels[cells].astype(np.int64),
        means_nc=means_nc,
        positions_n2=np.stack([means(axes_2yx[0]), means(axes_2yx[1])], axis=1),
        areas=areas[cells].astype(np.int64),
    )


def both_ways(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges in both directions, each once, sorted: (2, edges).

    Args:
        pairs: (n, 2) places of cells.
    """
    every = np.concatenate([pairs, pairs[:, ::-1]])
    return np.unique(every, axis=0).T.copy()


def squared(
    positions_n2: NDArray[np.float32], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The squared distance in pixels of each pair, in binary64."""
    away = positions_n2[pairs[:, 0]].astype(np.float64) - positions_n2[pairs[:, 1]]
    result: NDArray[np.float64] = away[:, 0] ** 2 + away[:, 1] ** 2
    return result
