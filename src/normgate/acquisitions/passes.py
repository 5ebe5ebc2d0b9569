"""The readings of training acquisitions, and each channel's exact figures.

Three passes: all values, then those around the percentiles, then what is left after
clip and arcsinh. Small acquisitions are counted many at once. Counts are whole numbers,
so a pass that was killed goes on from its state file and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from normgate.acquisitions.pass_state import PassStates, identity_of
from normgate.acquisitions.read import read_acquisition
from normgate.acquisitions.tally import Tally, empty
from normgate.contract import Channel, normal_form
from normgate.contract.imc import COFACTOR, bounded
from normgate.errors import CorruptImage, DataError, SettingsError
from normgate.transform.float_histogram import FineHistogram, FloatHistogram
from normgate.transform.table import apply_fixed_float

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.table import Acquisition
    from normgate.contract import InputType

_Counts = TypeVar("_Counts", FloatHistogram, FineHistogram)
_Change = Callable[["list[NDArray[np.float32]]"], Sequence["NDArray[np.float32]"]]
FAILED_SHARE = 0.5
_BATCH_PIXELS = 1 << 16
"""Small acquisitions are counted together: a histogram costs more than their pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsSettings:
    """What to measure, and what spec to make of it."""

    percentiles: tuple[Decimal, Decimal] = (Decimal(0), Decimal("99.9"))
    """Where raw values are clipped, 0 to 100."""
    cofactor: Decimal | None = COFACTOR
    """Of arcsinh; None for no arcsinh, as for embeddings."""
    input_type: InputType = "float32"
    """What the spec's channels take; whole numbers are exact in float32, too."""

    def __post_init__(self) -> None:
        """Refuse what can't be measured.

        Raises:
            SettingsError: With the parameter, its value and what is expected.
        """
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise SettingsError(
                f"percentiles {low},{high} must rise within 0..100, such as 0,99.9"
            )
        if self.cofactor is not None and self.cofactor <= 0:
            raise SettingsError(
                f"cofactor is {self.cofactor}; expected a number above 0, or none"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One channel over all acquisitions that counted."""

    name: str
    low: float
    """The lower percentile of raw values, as `numpy.percentile(method="linear")`."""
    high: float
    """The upper percentile."""
    mean: float
    """Of raw values."""
    std: float
    """With ddof 0."""
    inner_mean: float
    """After clip and arcsinh."""
    inner_std: float
    """With ddof 0."""
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Some channels of the acquisitions, read once for each pass."""

    acquisitions: Sequence[Acquisition]
    names: tuple[str, ...]
    settings: StatisticsSettings
    quarantined: dict[str, str]
    progress: Callable[[int, int], None] | None
    state: Path | None
    """What state files' names begin with; None for none."""

    def figures(self) -> tuple[list[Figures], tuple[str, ...]]:
        """The figures of these channels, and the acquisitions that counted."""
        raw = self._tally("raw", list)
        ranges = self._ranges(raw)
        forms = [
            normal_form(
                Channel(
                    name=name,
                    input="float32",
                    steps=bounded(low=low, high=high, cofactor=self.settings.cofactor),
                )
            )
            for name, (low, high) in zip(self.names, ranges, strict=True)
        ]
        inner = self._tally(
            f"inner {ranges} {self.settings.cofactor}",
            lambda values: list(map(apply_fixed_float, forms, values)),
        )
        found = zip(self.names, ranges, raw.counts, inner.counts, strict=True)
        figures = [
            Figures(
                name=name,
                low=low,
                high=high,
                mean=before.mean,
                std=before.std(),
                inner_mean=after.mean,
                inner_std=after.std(),
                pixels=before.total,
            )
            for name, (low, high), before, after in found
        ]
        return figures, raw.acquisitions

    def _tally(self, what: str, change: _Change) -> Tally[FloatHistogram]:
        tally = empty(self.names)
        self._count(what, tally, FloatHistogram.from_bytes, change)
        total, failed = len(self.acquisitions), len(self.quarantined)
        if not tally.acquisitions or failed > FAILED_SHARE * total:
            first = next(iter(self.quarantined.values()), "there is none")
            raise DataError(
                f"{failed} of {total} training acquisitions can't be read; the first: "
                f"{first}"
            )
        return tally

    def _ranges(self, raw: Tally[FloatHistogram]) -> list[tuple[float, float]]:
        """The two percentiles of each channel, by a second reading."""
        wanted = [float(one) for one in self.settings.percentiles]
        fine = Tally(self.names, [counts.fine(wanted) for counts in raw.counts])
        self._count(f"fine {wanted}", fine, FineHistogram.from_bytes, list)
        ranges = []
        for name, one in zip(self.names, fine.counts, strict=True):
            low, high = (float(value) for value in one.percentile(wanted))
            if not low < high:
                raise DataError(
                    f"channel {name}: percentiles {wanted[0]:g} and {wanted[1]:g} are "
                    f"both {low:g}, so the marker is absent or rare; leave it out, or "
                    "measure to a higher percentile"
                )
            ranges.append((low, high))
        return ranges

    def _count(
        self,
        what: str,
        tally: Tally[_Counts],
        load: Callable[[bytes], _Counts],
        change: _Change,
    ) -> None:
        """Count all acquisitions, going on from the pass's state where there is one."""
        states = PassStates(self.state, self._identity(what), self.acquisitions)
        before = states.resume(tally, load, self.quarantined)
        if before and self.progress is not None:
            self.progress(before, len(self.acquisitions))
        for done, names, values in self._batches(before):
            tally.add(names, change(values))
            states.save(done, tally, self.quarantined)
        states.save(len(self.acquisitions), tally, self.quarantined, last=True)

    def _identity(self, what: str) -> str:
        """Of a pass: all that its counts depend on."""
        own = (what, self.names, self.settings.input_type, sorted(self.quarantined))
        return identity_of(repr(own), self.acquisitions)

    def _batches(
        self, done: int
    ) -> Iterator[tuple[int, list[str], list[NDArray[np.float32]]]]:
        """Acquisitions that can be read, and their pixels, an array a channel.

        So many at once as make a batch; one that is large is a batch of its own. With
        each comes how many acquisitions are done with it, of all.
        """
        names: list[str] = []
        waiting: list[list[NDArray[Any]]] = [[] for _ in self.names]
        for at in range(done, len(self.acquisitions)):
            planes = self._planes(self.acquisitions[at])
            if planes:
                names.append(self.acquisitions[at].acquisition)
                for own, plane in zip(waiting, planes, strict=True):
                    own.append(plane.astype(np.float32).ravel())
            last = at + 1 == len(self.acquisitions)
            if names and (last or sum(map(np.size, waiting[0])) >= _BATCH_PIXELS):
                yield at + 1, names, [np.concatenate(own) for own in waiting]
                names, waiting = [], [[] for _ in self.names]
            if self.progress is not None:
                self.progress(at + 1, len(self.acquisitions))

    def _planes(self, acquisition: Acquisition) -> list[NDArray[Any]]:
        """A plane a channel; nothing for an acquisition that is in quarantine."""
        if acquisition.acquisition in self.quarantined:
            return []
        channels = [
            Channel(name=name, input=self.settings.input_type, steps=())
            for name in self.names
        ]
        try:
            return read_acquisition(acquisition).planes(channels)
        except CorruptImage as error:
            self.quarantined[acquisition.acquisition] = f"{acquisition.name}: {error}"
            return []
