"""From a case's files to what a model sees, on one path for training and deployment.

The applied fingerprint is measured on the same path. Read (values exact) -> one array a
channel -> normalize as whole volumes -> cut. Judging a pair and deriving its masks
stand beside, for the probe is no head.

Axes: n patches, c channels, m masks, then z slices, y rows, x columns; a 2D patch has
no z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract.ct import MRI, modality
from normgate.errors import CorruptImage, DataError
from normgate.transform.apply import Normalizer
from normgate.volumes.geometry import boxes, crop
from normgate.volumes.inverse import Inverse, inverse
from normgate.volumes.masks import REQUIRED, complete
from normgate.volumes.pairing import Pair, check_pair, read_pair
from normgate.volumes.volume import as_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.volumes.cases import Case
    from normgate.volumes.geometry import Box, VolumeGeometry

FAILED_SHARE = 0.5
"""Share of cases in quarantine beyond which there is no use in going on."""
MASKS = ("brain", "bone", "lesion")
"""The order of masks on axis m."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCase:
    """One case as whole volumes."""

    pair: Pair
    """Raw MRI, CT in HU, masks, notes."""
    images_czyx: NDArray[np.float32]
    """Normalized, in the spec's order of channels."""

    @property
    def case(self) -> Case:
        """Whose it is."""
        return self.pair.case

    @property
    def masks_mzyx(self) -> NDArray[np.bool_]:
        """Brain, bone and lesion; an unknown lesion is empty, see `lesion_known`."""
        found = (self.pair.brain_zyx, self.pair.bone_zyx, self.pair.lesion_zyx)
        empty = np.zeros(self.pair.shape_zyx, dtype=np.bool_)
        return np.stack([empty if mask is None else mask for mask in found])

    @property
    def lesion_known(self) -> bool:
        """Whether the case has a file that tells of its lesion, or of none."""
        return self.pair.lesion_zyx is not None

    @property
    def ct_zyx(self) -> NDArray[Any]:
        """The CT in HU as it was read."""
        return self.pair.ct.array_zyx


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """The patches of one case."""

    images: NDArray[np.float32]
    """(n, c, *patch)."""
    masks: NDArray[np.bool_]
    """(n, m, *patch); false beyond the volume."""
    hu: NDArray[np.float32]
    """The CT in HU, (n, *patch); the case's lowest value beyond the volume."""
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Loader:
    """Makes patches of cases by a spec and a geometry; safe to share between threads.

    Raises:
        SpecError: A channel is neither MRI nor CT.
    """

    spec: Spec
    geometry: VolumeGeometry
    required: tuple[str, ...] = REQUIRED
    """Masks that must not be empty."""

    def __post_init__(self) -> None:
        """Bind the channels now, so that a wrong name is refused at once."""
        _ = self.modalities

    @property
    def modalities(self) -> tuple[str, ...]:
        """What each channel is made of, `MRI` or `CT`, in the spec's order."""
        return tuple(modality(name) for name in self.spec.names)

    def with_geometry(self, geometry: VolumeGeometry) -> Loader:
        """The same loader, cutting otherwise."""
        return replace(self, geometry=geometry)

    def load(self, case: Case) -> LoadedCase:
        """Read, judge, complete and normalize one case.

        Raises:
            CorruptImage: A file is missing, cut short or not what its name says.
            DataError: The pair does not belong together, the CT is not in HU, a
                required mask is empty, or a value does not fit its channel's type.
        """
        pair = complete(check_pair(self.read(case)), self.required)
        return LoadedCase(pair=pair, images_czyx=self.normalized(pair))

    def each(
        self,
        cases: Sequence[Case],
        quarantined: list[str],
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[LoadedCase]:
        """Load cases one after the other; only one is held here at a time.

        Args:
            cases: The cases, in the order wanted.
            quarantined: Gets a sentence for each case whose files can't be read.
            progress: Told of the cases done and of their total.

        Raises:
            DataError: As `load`, or most cases are in quarantine.
        """
        failed = 0
        for done, case in enumerate(cases, start=1):
            try:
                yield self.load(case)
            except CorruptImage as error:
                quarantined.append(f"{case.name}: {error}")
                failed += 1
            if progress is not None:
                progress(done, len(cases))
        if failed > FAILED_SHARE * len(cases):
            raise DataError(
                f"{failed} of {len(cases)} cases can't be read; the first: "
                f"{quarantined[-failed]}"
            )

    def read(self, case: Case) -> Pair:
        """Read a case's files onto one grid; see `read_pair`."""
        return read_pair(case)

    def planes(self, pair: Pair) -> list[NDArray[Any]]:
        """One whole volume a channel, in the channel's own type.

        Raises:
            DataError: A value does not fit its channel's type.
        """
        return [
            as_type(pair.mri if kind == MRI else pair.ct, channel.input, channel.name)
            for kind, channel in zip(self.modalities, self.spec.channels, strict=True)
        ]

    def normalized(self, pair: Pair) -> NDArray[np.float32]:
        """Every channel of a case, normalized as a whole volume (c, z, y, x).

        Raises:
            DataError: A value does not fit its channel's type, or the case is
                degenerate where a step refuses that.
        """
        planes = self.planes(pair)
        try:
            return self.normalizer(planes)
        except DataError as error:
            raise DataError(f"{pair.case.name}: {error}") from error

    def inverses(self, pair: Pair) -> tuple[Inverse, ...]:
        """How each channel of this case is undone."""
        planes = self.planes(pair)
        return tuple(map(inverse, self.spec.channels, planes))

    def patches(self, loaded: LoadedCase) -> Patches:
        """Cut a case into the patches that cover it."""
        found = boxes(self.geometry, loaded.pair.shape_zyx)
        ct = loaded.ct_zyx
        return Patches(
            images=self.cut(loaded.images_czyx, found),
            masks=self._cut(loaded.masks_mzyx, found, [0.0] * len(MASKS)),
            hu=self._cut(ct.astype(np.float32)[None], found, [float(ct.min())])[:, 0],
            boxes=found,
        )

    def cut(
        self, images_czyx: NDArray[np.float32], found: Sequence[Box] | None = None
    ) -> NDArray[np.float32]:
        """Cut normalized volumes.

        Args:
            images_czyx: What `normalized` gives.
            found: Where patches begin; those that cover the volume without it.

        Returns:
            Float32 (n, c, *patch), beyond the volume each channel's lowest value.
        """
        _, slices, rows, columns = images_czyx.shape
        if found is None:
            found = boxes(self.geometry, (slices, rows, columns))
        lowest = [float(volume.min()) for volume in images_czyx]
        return self._cut(images_czyx, found, lowest)

    @cached_property
    def normalizer(self) -> Normalizer:
        """What applies the spec to whole volumes."""
        return Normalizer(self.spec)

    def _cut(
        self, volumes: NDArray[Any], found: Sequence[Box], fills: Sequence[float]
    ) -> NDArray[Any]:
        shape = (len(found), len(volumes), *self.geometry.patch)
        out = np.empty(shape, dtype=volumes.dtype)
        for n, box in enumerate(found):
            for c, volume_zyx in enumerate(volumes):
                out[n, c] = crop(volume_zyx, box, self.geometry, fills[c])
        return out
