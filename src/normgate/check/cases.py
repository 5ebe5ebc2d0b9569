"""Reading the sample of a case table: each case once, its faults taken down.

What a pair must be is `volumes.pairing`'s; here every refusal is kept by its kind, so
that one odd case does not hide the others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract.ct import CT, MRI
from normgate.errors import CorruptImage, DataError
from normgate.transform.histogram import FloatHistogram, IntegerHistogram
from normgate.volumes.load import LoadedCase, Loader
from normgate.volumes.masks import complete
from normgate.volumes.pairing import check_hu, check_pair, read_pair
from normgate.volumes.read import read_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from normgate.volumes.cases import Case
    from normgate.volumes.pairing import Pair
    from normgate.volumes.volume import Volume


@dataclass(slots=True)
class Seen:
    """What was read so far."""

    loader: Loader | None
    faults: dict[str, list[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By kind: the case and the sentence."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    before: dict[tuple[str, str], IntegerHistogram | FloatHistogram] = field(
        default_factory=dict
    )
    """By modality and type."""
    after: dict[str, FloatHistogram] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    good: int = 0

    def each(
        self, some: Sequence[Case], progress: Callable[[int, int], None] | None
    ) -> Iterator[LoadedCase]:
        """Read every case, take down its faults, and give those that have none."""
        for done, case in enumerate(some, start=1):
            loaded = self._case(case)
            if loaded is not None:
                self.good += 1
                yield loaded
            if progress is not None:
                progress(done, len(some))

    def _case(self, case: Case) -> LoadedCase | None:
        kind = "pair"
        try:
            pair = self._pair(case)
            kind = "hu"
            check_hu(pair)
            kind = "pair"
            check_pair(pair)
            kind = "masks"
            pair = complete(pair)
            kind = "input"
            return self._normalized(pair)
        except CorruptImage as error:
            self.quarantined.append(f"{case.name}: {error}")
        except DataError as error:
            self.faults[kind].append((case.case, str(error)))
        return None

    def _pair(self, case: Case) -> Pair:
        """Read a pair; volumes that are none are looked at each by itself."""
        try:
            pair = read_pair(case)
        except CorruptImage:
            raise
        except DataError:
            ct = read_volume(case.ct, case.ct_rescale)
            self._look(case, read_volume(case.mri), ct)
            raise
        self._look(case, pair.mri, pair.ct)
        return pair

    def _look(self, case: Case, mri: Volume, ct: Volume) -> None:
        for modality, volume in ((MRI, mri), (CT, ct)):
            self.notes += [(case.case, f"{modality}: {note}") for note in volume.notes]
            array_zyx = np.ascontiguousarray(volume.array_zyx)
            kind = array_zyx.dtype.name
            counts = self.before.setdefault((modality, kind), _empty(kind))
            counts.add(array_zyx)
            shape = f"{modality} {array_zyx.shape}".encode()
            digest = hashlib.sha256(shape + array_zyx.data).hexdigest()
            self.digests[digest].append(case.case)

    def _normalized(self, pair: Pair) -> LoadedCase:
        if self.loader is None:
            return LoadedCase(pair=pair, images_czyx=np.empty(0, dtype=np.float32))
        images_czyx = self.loader.normalized(pair)
        for name, image_zyx in zip(self.loader.spec.names, images_czyx, strict=True):
            self.after.setdefault(name, FloatHistogram()).add(image_zyx)
        return LoadedCase(pair=pair, images_czyx=images_czyx)


def _empty(kind: str) -> IntegerHistogram | FloatHistogram:
    return FloatHistogram() if kind == "float32" else IntegerHistogram("int16")
