"""From an acquisition's files to what a model sees, on one path for all uses.

Training, deployment and the applied fingerprint take it: read (values exact) -> one
plane a channel, bound by marker -> normalize as whole planes -> nodes or cells.

Axes: n units, c channels, y rows, x columns, i node rows, j node columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.cells import cells_of
from normgate.acquisitions.geometry import CellGeometry, GridGeometry, boxes, nodes
from normgate.acquisitions.graph import graph_of
from normgate.acquisitions.neighbourhoods import neighbourhoods, parts_of
from normgate.acquisitions.read import read_acquisition, read_cells
from normgate.errors import CorruptImage, DataError
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.cells import CellGraph
    from normgate.acquisitions.geometry import Box, Geometry
    from normgate.acquisitions.neighbourhoods import Neighbourhoods
    from normgate.acquisitions.stack import Stack
    from normgate.acquisitions.table import Acquisition
    from normgate.contract import Spec

FAILED_SHARE = 0.5
"""Share of acquisitions in quarantine beyond which there is no use in going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One acquisition as whole planes."""

    acquisition: Acquisition
    planes: tuple[NDArray[Any], ...]
    """Raw values, in the spec's order of channels."""
    image_cyx: NDArray[np.float32]
    """Normalized, in the spec's order of channels."""
    labels_yx: NDArray[np.int64] | None
    """Cells, where the geometry asks for them."""

    @property
    def removed(self) -> NDArray[np.float32]:
        """Mean and sd (ddof 0) of each raw channel, (c, 2): what per-image steps take.

        A model with reversible normalization gets them back beside its input.
        """
        raw = [plane.astype(np.float64) for plane in self.planes]
        pairs = [(plane.mean(), plane.std()) for plane in raw]
        return np.array(pairs, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grids:
    """The units of one acquisition."""

    nodes: NDArray[np.float32]
    """(n, c, i, j)."""
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Loader:
    """Makes units of acquisitions by a spec and a geometry; safe to share by threads.

    Raises:
        SpecError: Channels differ in a step that measures them together.
    """

    spec: Spec
    geometry: Geometry

    def __post_init__(self) -> None:
        """Build the normalizer now, so that a spec that can't be is refused at once."""
        _ = self.normalizer

    def with_geometry(self, geometry: Geometry) -> Loader:
        """The same loader, cutting otherwise."""
        return replace(self, geometry=geometry)

    def load(self, acquisition: Acquisition) -> Loaded:
        """Read, bind and normalize one acquisition.

        Raises:
            CorruptImage: A file is missing, cut short or not what its name says.
            DataError: A marker is missing or duplicated, a value does not fit its
                channel's type, there is no mask where cells are wanted, or the
                acquisition is smaller than a unit.
        """
        stack = self.read(acquisition)
        planes = self.planes(stack)
        labels_yx = None
        if isinstance(self.geometry, CellGeometry):
            labels_yx = read_cells(acquisition, stack)
        elif not boxes(self.geometry, stack.shape_yx):
            raise DataError(
                f"{acquisition.name} has {stack.shape_yx} pixels, a unit "
                f"{self.geometry.window_yx}; leave it out, or use a smaller grid"
            )
        return Loaded(
            acquisition=acquisition,
            planes=tuple(planes),
            image_cyx=self.normalized(planes, acquisition.name),
            labels_yx=labels_yx,
        )

    def each(
        self,
        acquisitions: Sequence[Acquisition],
        quarantined: list[str],
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Loaded]:
        """Load acquisitions one after the other; only one is held here at a time.

        Args:
            acquisitions: In the order wanted.
            quarantined: Gets a sentence for each that can't be read.
            progress: Told of the acquisitions done and of their total.

        Raises:
            DataError: As `load`, or most acquisitions are in quarantine.
        """
        failed = 0
        for done, acquisition in enumerate(acquisitions, start=1):
            try:
                yield self.load(acquisition)
            except CorruptImage as error:
                quarantined.append(f"{acquisition.name}: {error}")
                failed += 1
            if progress is not None:
                progress(done, len(acquisitions))
        if failed > FAILED_SHARE * len(acquisitions):
            raise DataError(
                f"{failed} of {len(acquisitions)} acquisitions can't be read; the "
                f"first: {quarantined[-failed]}"
            )

    def read(self, acquisition: Acquisition) -> Stack:
        """Read an acquisition's planes, called as its panel does."""
        return read_acquisition(acquisition)

    def planes(self, stack: Stack) -> list[NDArray[Any]]:
        """One plane a channel, bound by marker, in the channel's own type.

        Raises:
            DataError: A marker is missing or duplicated, or a value does not fit.
        """
        return stack.planes(self.spec.channels)

    def normalized(
        self, planes: Sequence[NDArray[Any]], name: str
    ) -> NDArray[np.float32]:
        """Every channel, normalized as a whole plane (c, y, x).

        Args:
            planes: One a channel, in the spec's order.
            name: What to call the acquisition in a refusal.

        Raises:
            DataError: A channel is degenerate where a step refuses that.
        """
        try:
            return self.normalizer(planes)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error

    def grids(self, image_cyx: NDArray[np.float32]) -> Grids:
        """Cut a normalized acquisition into its units.

        Raises:
            TypeError: The geometry is one of cells.
        """
        geometry = self.geometry
        if not isinstance(geometry, GridGeometry):
            raise TypeError(f"{geometry.kind} have no grid")
        _, rows, columns = image_cyx.shape
        found = boxes(geometry, (rows, columns))
        shape = (len(found), len(image_cyx), *geometry.grid)
        out = np.empty(shape, dtype=np.float32)
        for n, box in enumerate(found):
            out[n] = nodes(image_cyx, box, geometry)
        return Grids(nodes=out, boxes=found)

    def graph(
        self, image_cyx: NDArray[np.float32], labels_yx: NDArray[np.int64]
    ) -> CellGraph:
        """Join the cells of a normalized acquisition to a graph.

        Raises:
            TypeError: The geometry is one of grids.
        """
        return graph_of(cells_of(image_cyx, labels_yx), self._of_cells)

    def parts(self, positions_n2: NDArray[np.float32]) -> NDArray[np.int64]:
        """The unit of each cell of an acquisition, by where cells lie.

        Raises:
            TypeError: The geometry is one of grids.
        """
        return parts_of(positions_n2, self._of_cells.cells)

    def neighbourhoods(self, graph: CellGraph) -> Neighbourhoods:
        """Cut a graph into its units.

        Raises:
            TypeError: The geometry is one of grids.
        """
        parts_n = self.parts(graph.cells.positions_n2)
        return neighbourhoods(graph, parts_n, self._of_cells.cells)

    @property
    def _of_cells(self) -> CellGeometry:
        if not isinstance(self.geometry, CellGeometry):
            raise TypeError(f"a {self.geometry.kind} has no cells")
        return self.geometry

    @cached_property
    def normalizer(self) -> Normalizer:
        """What applies the spec to whole planes."""
        return Normalizer(self.spec)
