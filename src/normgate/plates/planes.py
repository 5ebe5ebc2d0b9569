"""The pictures of one site, read once for every model that needs them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normgate.errors import DataError
from normgate.plates.cells import read_cells
from normgate.plates.read import read_plane
from normgate.plates.sites import CELLS, PlaneKey, Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Planes:
    """The pictures of one site that were read, with the digests of their files."""

    planes: Mapping[PlaneKey, NDArray[Any]]
    """Raw counts (rows, columns); under `CELLS` the centers (n, 3) of unit, y, x."""
    digests: Mapping[PlaneKey, str]
    """SHA-256 of each picture's file, or as `read.read_plane` says."""

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, key: PlaneKey) -> NDArray[Any]:
        return self.planes[key]

    def only(self, keys: Iterable[PlaneKey]) -> Planes:
        """The pictures that one model uses."""
        wanted = dict.fromkeys(keys)
        return Planes(
            {key: self.planes[key] for key in wanted},
            {key: self.digests[key] for key in wanted},
        )

    @property
    def input_digest(self) -> str:
        """SHA-256 over the names and file digests of the pictures, in sorted order."""
        lines = (f"{key} {self.digests[key]}\n" for key in sorted(self.digests))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_site(site: Site, keys: Iterable[PlaneKey]) -> Planes:
    """Read the pictures of a site that are asked for, each file once.

    Args:
        site: The site.
        keys: Markers and timepoints; more than one model's may be joined.

    Raises:
        CorruptImage: A file can't be read, or pictures differ in shape.
        DataError: The site has no such picture, or a file is not raw counts.
    """
    planes: dict[PlaneKey, NDArray[Any]] = {}
    digests: dict[PlaneKey, str] = {}
    for key in dict.fromkeys(keys):
        if key not in site.planes:
            have = ", ".join(str(known) for known in sorted(site.planes))
            msg = f"{site.name} has no picture {key}; the plate table has {have}"
            raise DataError(msg)
        path = site.planes[key]
        read = read_cells if key.marker == CELLS else read_plane
        planes[key], digests[key] = read(path)
    return Planes(planes, digests)
