"""From a site's files to normalized units, on one path for training and deployment.

The applied fingerprint is measured on the same path.
Read (bits kept) -> cut windows from raw counts -> normalize -> resize. `raw` stops
after the windows, and `from_raw` goes on from there: what an exported model does.

Axes: n units, c channels, y rows, x columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normgate.contract import normal_form
from normgate.errors import CorruptImage, DataError
from normgate.plates.geometry import boxes, crop
from normgate.plates.planes import Planes, read_site
from normgate.plates.sites import CELLS, PlaneKey, Site, bind, sites
from normgate.transform.apply import Normalizer
from normgate.transform.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.plates.geometry import Box, Geometry

__all__ = [
    "CELLS",
    "Loader",
    "PlaneKey",
    "Planes",
    "Site",
    "UnitKey",
    "Units",
    "bind",
    "read_site",
    "sites",
]


class UnitKey(NamedTuple):
    """Which unit of a site: its number, and the middle pixel of its window."""

    unit: int
    y: int
    x: int


@dataclass(frozen=True, slots=True)
class Units:
    """The normalized units of one site."""

    images: NDArray[np.float32]
    """(n, c, size, size)."""
    keys: tuple[UnitKey, ...]


@dataclass(frozen=True)
class Loader:
    """Makes units of sites by a spec and a geometry; safe to share between threads."""

    spec: Spec
    geometry: Geometry
    timepoint_ms: int | None = None
    """The timepoint of channels whose names tell none."""

    def __post_init__(self) -> None:
        """Bind the channels now, so that a wrong timepoint is refused at once."""
        bind(self.spec, self.timepoint_ms)

    @cached_property
    def channel_keys(self) -> tuple[PlaneKey, ...]:
        """The picture of each channel, in the spec's order."""
        return bind(self.spec, self.timepoint_ms)

    @cached_property
    def keys(self) -> tuple[PlaneKey, ...]:
        """All that must be read: the channels, and for cells where they are."""
        if self.geometry.kind != "cell":
            return self.channel_keys
        return (*self.channel_keys, PlaneKey(CELLS, self.channel_keys[0].timepoint_ms))

    @cached_property
    def raw_dtype(self) -> np.dtype[Any]:
        """The one type that holds every channel's counts exactly."""
        return np.result_type(*(np.dtype(c.input) for c in self.spec.channels))

    def with_geometry(self, geometry: Geometry) -> Loader:
        """The same loader, cutting and sizing otherwise."""
        return replace(self, geometry=geometry)

    def read(self, site: Site) -> Planes:
        """Read what this loader needs of a site; see `read_site`."""
        return read_site(site, self.keys)

    def units(self, site: Site, planes: Planes) -> Units:
        """Normalized units of one site.

        Raises:
            CorruptImage: The site's pictures differ in shape.
            DataError: A picture's type is not its channel's.
        """
        return Units(
            self.from_raw(self.raw(site, planes)), self.unit_keys(site, planes)
        )

    def unit_keys(self, site: Site, planes: Planes) -> tuple[UnitKey, ...]:
        """Which units a site gives, in the order of `raw` and `units`."""
        return tuple(
            UnitKey(box.unit, *box.center) for box in self._boxes(site, planes)
        )

    def raw(self, site: Site, planes: Planes) -> NDArray[Any]:
        """The windows of a site as raw counts.

        Returns:
            (n, c, window, window) of `raw_dtype`; (1, c, rows, columns) for `site`.

        Raises:
            CorruptImage: The site's pictures differ in shape.
            DataError: A picture's type is not its channel's.
        """
        found = self._boxes(site, planes)
        sources = [self._plane(site, planes, index) for index in range(self._channels)]
        shape = (found[0].height, found[0].width) if found else (self._side, self._side)
        windows = np.empty((len(found), self._channels, *shape), dtype=self.raw_dtype)
        for unit, box in enumerate(found):
            cut = crop(sources, box, self.geometry.border)
            for channel, window in enumerate(cut):
                windows[unit, channel] = window
        return windows

    def from_raw(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        """Normalize and resize raw windows.

        Args:
            windows_ncyx: What `raw` gives, (n, c, rows, columns).

        Returns:
            Float32 (n, c, size, size).

        Raises:
            DataError: The type or number of channels is not the spec's.
        """
        return self.resized(self.normalized(windows_ncyx))

    def normalized(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        """Normalize raw windows (n, c, rows, columns), in their own size."""
        if windows_ncyx.shape[1] != self._channels:
            msg = f"{windows_ncyx.shape[1]} channels of raw counts; the spec has "
            raise DataError(msg + ", ".join(c.name for c in self.spec.channels))
        if self._fixed:
            planes = [
                self._counts(windows_ncyx[:, c], c) for c in range(self._channels)
            ]
            return np.ascontiguousarray(self._normalizer(planes).swapaxes(0, 1))
        out = np.empty(windows_ncyx.shape, dtype=np.float32)
        for unit, window_cyx in enumerate(windows_ncyx):
            planes = [self._counts(window_cyx[c], c) for c in range(self._channels)]
            self._normalizer(planes, out=out[unit])
        return out

    def resized(self, images_ncyx: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resize normalized windows to the geometry's size."""
        size = self.geometry.size
        n, c, *shape_yx = images_ncyx.shape
        if shape_yx == [size, size] or n == 0:
            return images_ncyx.reshape(n, c, size, size)
        flat = resize(images_ncyx.reshape(n * c, *shape_yx), (size, size))
        return flat.reshape(n, c, size, size)

    @property
    def _channels(self) -> int:
        return len(self.spec.channels)

    @property
    def _side(self) -> int:
        return self.geometry.window or self.geometry.size

    @cached_property
    def _fixed(self) -> bool:
        return all(normal_form(channel).fixed for channel in self.spec.channels)

    @cached_property
    def _normalizer(self) -> Normalizer:
        return Normalizer(self.spec)

    def _boxes(self, site: Site, planes: Planes) -> tuple[Box, ...]:
        shape = planes[self.channel_keys[0]].shape
        for key in self.channel_keys[1:]:
            if planes[key].shape != shape:
                msg = (
                    f"{site.name}: picture {key} is {planes[key].shape} and "
                    f"{self.channel_keys[0]} is {shape}; one site has one shape"
                )
                raise CorruptImage(msg)
        return boxes(self.geometry, (shape[0], shape[1]), self._centers(site, planes))

    def _centers(self, site: Site, planes: Planes) -> Sequence[tuple[int, int, int]]:
        if self.geometry.kind != "cell":
            return ()
        key = self.keys[-1]
        if key not in planes.planes:
            msg = f"{site.name}: cells are cropped, but no mask or centers were read"
            raise DataError(msg)
        return [(int(unit), int(y), int(x)) for unit, y, x in planes[key]]

    def _plane(self, site: Site, planes: Planes, channel: int) -> NDArray[Any]:
        plane, declared = (
            planes[self.channel_keys[channel]],
            self.spec.channels[channel],
        )
        if plane.dtype != declared.input:
            path = site.planes.get(self.channel_keys[channel])
            msg = (
                f"{site.name}: {path} holds {plane.dtype}; channel {declared.name} of "
                f"the spec takes {declared.input} raw counts"
            )
            raise DataError(msg)
        return plane

    def _counts(self, plane: NDArray[Any], channel: int) -> NDArray[Any]:
        """Back to the channel's own type; what it can't hold is refused."""
        declared = self.spec.channels[channel]
        with np.errstate(invalid="ignore"):
            counts = plane.astype(declared.input)
        if plane.dtype != counts.dtype and not np.array_equal(counts, plane):
            msg = (
                f"channel {declared.name} holds values that {declared.input} can't; "
                "give raw counts, not normalized pixels"
            )
            raise DataError(msg)
        return counts
