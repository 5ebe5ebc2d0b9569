"""Foreground statistics of training cases: the constants of a CT channel.

As nnU-Net's fingerprint: percentiles, mean and standard deviation of the voxels of
interest, here brain and bone (and the lesion), in HU before any clipping. Unlike there
every voxel counts once and none is drawn at random: histograms are exact, so neither
the order of cases nor how they are shared out matters. Which cases counted stands in
the provenance, by name, for statistics of validation cases would leak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from normgate.contract import ChannelProvenance, Provenance
from normgate.contract.ct import CT, MRI, mri_dataset_z, nnunet_ct
from normgate.contract.steps import exact
from normgate.errors import CorruptImage, DataError
from normgate.transform.float_histogram import FloatHistogram
from normgate.transform.histogram import IntegerHistogram
from normgate.volumes.masks import complete
from normgate.volumes.pairing import check_pair, read_pair
from normgate.volumes.volume import as_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Channel
    from normgate.volumes.cases import Case
    from normgate.volumes.pairing import Pair

PERCENTILES = (0.5, 99.5)
FAILED_SHARE = 0.5
VolumeType = Literal["int16", "float32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreground:
    """One modality over the foreground of some cases, in the volumes' own units."""

    modality: str
    input_type: VolumeType
    low: float
    """The 0.5th percentile, as `numpy.percentile(method="linear")`."""
    high: float
    """The 99.5th percentile."""
    mean: float
    std: float
    """With ddof 0."""
    voxels: int
    cases: tuple[str, ...]
    """The names of the cases that counted."""
    quarantined: tuple[str, ...] = ()
    """A sentence for each case that could not be read."""

    def ct_channel(self, name: str = CT, decimals: int | None = None) -> Channel:
        """The nnU-Net channel of these statistics.

        Args:
            name: The channel's name.
            decimals: Round constants to so many places, for people; None keeps all.
        """
        return nnunet_ct(
            low=_rounded(self.low, decimals),
            high=_rounded(self.high, decimals),
            mean=_rounded(self.mean, decimals),
            std=_rounded(self.std, decimals),
            name=name,
            input_type=self.input_type,
        )

    def mri_channel(self, name: str = MRI, decimals: int | None = None) -> Channel:
        """A z-score by the data set, for MRI in physical units such as ADC."""
        return mri_dataset_z(
            mean=_rounded(self.mean, decimals),
            std=_rounded(self.std, decimals),
            name=name,
            input_type=self.input_type,
        )

    def provenance(self, csv_path: Path, channel: str | None = None) -> Provenance:
        """Where these constants came from.

        Args:
            csv_path: The case table, whose digest is taken.
            channel: The channel that has them; the modality's own name without it.
        """
        return Provenance(
            source=csv_path.name,
            source_digest=hashlib.sha256(csv_path.read_bytes()).hexdigest(),
            estimator="exact histogram",
            restriction=f"foreground (brain, bone, lesion) of {len(self.cases)} "
            "training cases",
            cases=self.cases,
            quarantined=self.quarantined,
            channels=(
                ChannelProvenance(
                    name=channel or self.modality,
                    images=len(self.cases),
                    pixels=self.voxels,
                    percentiles=tuple(
                        (exact(percentile), exact(value))
                        for percentile, value in zip(
                            PERCENTILES, (self.low, self.high), strict=True
                        )
                    ),
                    mean=exact(self.mean),
                    std=exact(self.std),
                ),
            ),
        )


@dataclass(slots=True)
class Tally:
    """Exact counts of foreground voxels; merging two is addition."""

    input_type: VolumeType
    counts: IntegerHistogram | FloatHistogram = field(init=False)
    cases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.counts = (
            FloatHistogram()
            if self.input_type == "float32"
            else IntegerHistogram(self.input_type)
        )

    def add(self, name: str, values_zyx: NDArray[Any], mask: NDArray[np.bool_]) -> None:
        """Count a case.

        Raises:
            DataError: It counts already.
        """
        if name in self.cases:
            raise DataError(f"case {name} is counted twice; name each case once")
        self.counts.add(np.ascontiguousarray(values_zyx), mask)
        self.cases = (*self.cases, name)

    def merge(self, other: Tally) -> None:
        """Add another tally of other cases.

        Raises:
            DataError: A case counts in both, or the types differ.
        """
        both = sorted(set(self.cases) & set(other.cases))
        if both:
            raise DataError(f"case {both[0]} is counted twice; name each case once")
        match self.counts, other.counts:
            case IntegerHistogram() as own, IntegerHistogram() as more:
                own.merge(more)
            case FloatHistogram() as first, FloatHistogram() as second:
                first.merge(second)
            case _:
                raise DataError(
                    f"can't merge {self.input_type} with {other.input_type} volumes; "
                    "measure them alike"
                )
        self.cases = (*self.cases, *other.cases)


def measure(
    cases: Sequence[Case],
    *,
    modality: Literal["CT", "MRI"] = "CT",
    input_type: VolumeType = "int16",
    progress: Callable[[int, int], None] | None = None,
) -> Foreground:
    """Measure the foreground of training cases.

    Args:
        cases: The training cases, and no others.
        modality: What to measure.
        input_type: The type of the channel that is to have these constants.
        progress: Told of the cases read and of their total, for each pass.

    Raises:
        DataError: A pair does not belong together, a value does not fit the type, or
            most cases can't be read.
    """
    quarantined: dict[str, str] = {}

    def values(case: Case) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        pair = complete(check_pair(read_pair(case)))
        volume = pair.ct if modality == CT else pair.mri
        return as_type(volume, input_type, modality), foreground(pair)

    tally = Tally(input_type)
    for done, case in enumerate(cases, start=1):
        try:
            tally.add(case.case, *values(case))
        except CorruptImage as error:
            quarantined[case.case] = f"{case.name}: {error}"
        if progress is not None:
            progress(done, len(cases))
    if not tally.cases or len(quarantined) > FAILED_SHARE * len(cases):
        first = next(iter(quarantined.values()), "there is no case")
        raise DataError(
            f"{len(quarantined)} of {len(cases)} training cases can't be read; the "
            f"first: {first}"
        )
    low, high = _percentiles(
        tally, (values(c) for c in cases if c.case not in quarantined)
    )
    return Foreground(
        modality=modality,
        input_type=input_type,
        low=low,
        high=high,
        mean=tally.counts.mean,
        std=tally.counts.std(),
        voxels=tally.counts.total,
        cases=tally.cases,
        quarantined=tuple(quarantined.values()),
    )


def foreground(pair: Pair) -> NDArray[np.bool_]:
    """The voxels of interest of a completed pair: brain, bone and lesion."""
    found = np.zeros(pair.shape_zyx, dtype=np.bool_)
    for mask in (pair.brain_zyx, pair.bone_zyx, pair.lesion_zyx):
        if mask is not None:
            found |= mask
    return found


def leaked(provenance: Provenance, training: Iterable[str]) -> tuple[str, ...]:
    """The cases that counted in a spec's constants but are not for training.

    Args:
        provenance: What the spec's constants were measured on.
        training: The names of the training cases.
    """
    return tuple(sorted(set(provenance.cases) - set(training)))


def _percentiles(
    tally: Tally, again: Iterable[tuple[NDArray[Any], NDArray[np.bool_]]]
) -> tuple[float, float]:
    """The two percentiles; float32 volumes are read a second time."""
    if isinstance(tally.counts, IntegerHistogram):
        low, high = tally.counts.percentile(PERCENTILES)
        return float(low), float(high)
    fine = tally.counts.fine(PERCENTILES)
    for values_zyx, mask in again:
        fine.add(np.ascontiguousarray(values_zyx), mask)
    low, high = fine.percentile(PERCENTILES)
    return float(low), float(high)


def _rounded(value: float, decimals: int | None) -> Decimal:
    return exact(value) if decimals is None else exact(round(value, decimals))
