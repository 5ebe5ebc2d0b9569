"""The units of an IMC training, as arrays; where they come from is `data`'s matter.

Axes: u units, c channels, h rows and w columns of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from normgate.contract import Spec


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
    quarantined: tuple[str, ...] = ()
    """One sentence for each acquisition that gave no units."""

    @property
    def side(self) -> int:
        """Rows and columns of nodes."""
        return int(self.images.shape[-1])
