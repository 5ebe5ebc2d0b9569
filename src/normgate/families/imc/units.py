"""The units of an IMC training, as arrays; where they come from is `data`'s matter.

Units of cells are grids of n rows and one column, padded with zeros, whose nodes are
cells; `joined` tells which are real, and which are neighbours.

Axes: u units, c channels, h rows and w columns of nodes, n cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.contract import Spec

ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImcUnits:
    """All units of a training."""

    spec: Spec
    """What they were normalized by."""
    raw: NDArray[np.float32]
    """(u, c, h, w), as measured."""
    images: NDArray[np.float32]
    """(u, c, h, w), normalized."""
    measured: NDArray[np.float64]
    """(u, c, 2): center and divisor of what the spec measured on each acquisition."""
    groups: NDArray[np.str_]
    """Split group (slide or patient) of each unit, (u,)."""
    names: NDArray[np.str_]
    """Acquisition of each unit, (u,)."""
    digest: str
    """SHA-256 over everything that the units were made from."""
    labels: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What is known of each unit and can be probed for: words or numbers, (u,)."""
    clean: NDArray[np.float32] | None = None
    """(u, c, h, w), raw values without noise; known of simulated units alone."""
    joined: NDArray[np.bool_] | None = None
    """(u, n, n): neighbours of units of cells; a real cell is its own."""
    quarantined: tuple[str, ...] = ()
    """One sentence for each acquisition that gave no units."""

    @property
    def side(self) -> int:
        """Rows and columns of nodes."""
        return int(self.images.shape[-1])

    def values(
        self, array_uchw: NDArray[np.float32], at: NDArray[np.int64] | slice = ALL
    ) -> NDArray[np.float32]:
        """Values of some units as they are judged: (u, c, h, w).

        Of cells, each real one by itself: (cells, c, 1, 1), unit by unit.
        """
        if self.joined is None:
            return array_uchw[at]
        cells_unc = array_uchw[at, :, :, 0].transpose(0, 2, 1)
        return np.ascontiguousarray(cells_unc[self.real(at)][:, :, None, None])

    def real(self, at: NDArray[np.int64] | slice = ALL) -> NDArray[np.bool_]:
        """Which cells of some units are no padding: (u, n).

        Raises:
            TypeError: The units are grids.
        """
        if self.joined is None:
            raise TypeError("units are grids, which have no cells")
        return np.diagonal(self.joined[at], axis1=1, axis2=2)
