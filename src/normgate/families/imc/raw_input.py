"""Raw acquisitions to what a network of a bundle takes: grids, or graphs of cells.

Each acquisition is normalized as a whole plane and cut into units, which follow one
another; of cells the last plane of the input is the label image.

Axes: n acquisitions, u units, c channels, y rows, x columns, k cells of a unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from normgate.acquisitions.geometry import boxes, nodes
from normgate.acquisitions.load import Loader
from normgate.errors import DataError
from normgate.families.imc.packed import packed
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.geometry import CellGeometry, GridGeometry
    from normgate.contract import Spec


class RawAcquisitions(nn.Module):
    """Raw acquisitions (n, c, y, x) to units (n * units, c, h, w).

    Args:
        spec: What is applied to each whole acquisition.
        geometry: How it is cut.
    """

    def __init__(self, spec: Spec, geometry: GridGeometry) -> None:
        super().__init__()
        self.spec, self.geometry = spec, geometry
        self._normalizer = Normalizer(spec)

    def forward(self, raw_ncyx: Tensor) -> Tensor:
        """Normalize and cut.

        Raises:
            DataError: An acquisition is smaller than a unit, or a value does not fit
                its channel.
        """
        found = boxes(self.geometry, (raw_ncyx.shape[2], raw_ncyx.shape[3]))
        if not found:
            raise DataError(
                f"acquisitions have {tuple(raw_ncyx.shape[2:])} pixels, a unit "
                f"{self.geometry.window_yx}; send whole acquisitions"
            )
        raw = raw_ncyx.cpu().numpy()
        images = [self._normalizer(planes_of(self.spec, one)) for one in raw]
        units = [nodes(image, box, self.geometry) for image in images for box in found]
        return torch.from_numpy(np.stack(units)).to(raw_ncyx.device)


class RawCells(nn.Module):
    """Raw acquisitions with labels (n, c + 1, y, x) to packed units (u, k, c + k).

    Args:
        spec: What is applied to each whole acquisition.
        geometry: How its cells are joined and cut.
    """

    def __init__(self, spec: Spec, geometry: CellGeometry) -> None:
        super().__init__()
        self.loader = Loader(spec, geometry)

    def forward(self, raw_ncyx: Tensor) -> Tensor:
        """Normalize, measure the cells, join and cut.

        Raises:
            DataError: An acquisition has no cells, or a value does not fit its channel.
        """
        units = torch.cat([self._units(raw) for raw in raw_ncyx.cpu().numpy()])
        return units.to(raw_ncyx.device)

    def _units(self, raw_cyx: NDArray[Any]) -> Tensor:
        *raw, last_yx = raw_cyx
        labels_yx = last_yx.astype(np.int64)
        if not (labels_yx > 0).any() or not np.array_equal(labels_yx, last_yx):
            raise DataError(
                "the last plane holds no label image of cells (whole numbers, 0 where "
                "there is none); send the mask behind the channels"
            )
        planes = planes_of(self.loader.spec, raw)
        image_cyx = self.loader.normalized(planes, "an acquisition")
        graph = self.loader.graph(image_cyx, labels_yx)
        units = self.loader.neighbourhoods(graph)
        cells_ukc = units.gathered(graph.cells.means_nc)
        return packed(cells_ukc.transpose(0, 2, 1)[..., None], units.joined_unn)


def planes_of(spec: Spec, raw_cyx: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Planes in their channels' own types.

    Raises:
        DataError: A value does not fit its channel.
    """
    planes = []
    for channel, plane in zip(spec.channels, raw_cyx, strict=True):
        values = plane.astype(channel.input)
        if not np.array_equal(values, plane):
            raise DataError(
                f"channel {channel.name} holds values that {channel.input} can't; "
                "send acquisitions as they were measured"
            )
        planes.append(values)
    return planes
