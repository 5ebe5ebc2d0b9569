"""The readings of training acquisitions, and each channel's exact figures.

Three passes: all values, then those around the percentiles, then what is left after
clip and arcsinh. Small acquisitions are counted many at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.read import read_acquisition
from normgate.acquisitions.tally import Tally
from normgate.contract import Channel, normal_form
from normgate.contract.imc import COFACTOR, bounded
from normgate.errors import CorruptImage, DataError, SettingsError
from normgate.transform.table import apply_fixed_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.table import Acquisition
    from normgate.contract import InputType

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


@dataclass(frozen=True, slots=True)
class Reading:
    """Some channels of the acquisitions, read once for each pass."""

    acquisitions: Sequence[Acquisition]
    names: tuple[str, ...]
    settings: StatisticsSettings
    quarantined: dict[str, str]
    progress: Callable[[int, int], None] | None

    def figures(self) -> tuple[list[Figures], tuple[str, ...]]:
        """The figures of these channels, and the acquisitions that counted."""
        raw = self._tally(lambda values: values)
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
            lambda values: [
                apply_fixed_float(form, pixels)
                for form, pixels in zip(forms, values, strict=True)
            ]
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

    def _tally(
        self,
        change: Callable[[list[NDArray[Any]]], Sequence[NDArray[np.float32]]],
    ) -> Tally:
        tally = Tally(self.names)
        for names, values in self._batches():
            tally.add(names, change(values))
        total, failed = len(self.acquisitions), len(self.quarantined)
        if not tally.acquisitions or failed > FAILED_SHARE * total:
            first = next(iter(self.quarantined.values()), "there is none")
            raise DataError(
                f"{failed} of {total} training acquisitions can't be read; the first: "
                f"{first}"
            )
        return tally

    def _ranges(self, raw: Tally) -> list[tuple[float, float]]:
        """The two percentiles of each channel, by a second reading."""
        wanted = [float(one) for one in self.settings.percentiles]
        fine = [counts.fine(wanted) for counts in raw.counts]
        for _, values in self._batches():
            for one, pixels in zip(fine, values, strict=True):
                one.add(pixels)
        ranges = []
        for name, one in zip(self.names, fine, strict=True):
            low, high = (float(value) for value in one.percentile(wanted))
            if not low < high:
                raise DataError(
                    f"channel {name}: percentiles {wanted[0]:g} and {wanted[1]:g} are "
                    f"both {low:g}, so the marker is absent or rare; leave it out, or "
                    "measure to a higher percentile"
                )
            ranges.append((low, high))
        return ranges

    def _batches(self) -> Iterator[tuple[list[str], list[NDArray[Any]]]]:
        """Acquisitions that can be read, and their pixels, a float32 array a channel.

        So many at once as make a batch; one that is large is a batch of its own.
        """
        names: list[str] = []
        waiting: list[list[NDArray[Any]]] = [[] for _ in self.names]
        for done, acquisition in enumerate(self.acquisitions, start=1):
            planes = self._planes(acquisition)
            if planes:
                names.append(acquisition.acquisition)
                for own, plane in zip(waiting, planes, strict=True):
                    own.append(plane.astype(np.float32).ravel())
            last = done == len(self.acquisitions)
            if names and (last or sum(map(np.size, waiting[0])) >= _BATCH_PIXELS):
                yield names, [np.concatenate(own) for own in waiting]
                names, waiting = [], [[] for _ in self.names]
            if self.progress is not None:
                self.progress(done, len(self.acquisitions))

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
