"""The audit of a spec before any training: what its normalization keeps of a CT.

Four questions, each a vital: does bone come back in HU when the normalization is undone
(C1), is no channel dead or beside the scale (C2), how much is clipped away (C3), and do
MRI and CT weigh alike in what a model is to learn (C4)? And a fifth, of statistics that
each case brings along: do equal numbers mean equal HU in all cases? Only red forbids.

`_zyx` arrays are volumes (slices, rows, columns), `_czyx` one volume a channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract.ct import CT, MRI
from normgate.errors import DataError, SpecError
from normgate.gate.vitals import Vital, channel_vitals, scale_ratio
from normgate.volumes.statistics import foreground

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from normgate.volumes.inverse import Inverse
    from normgate.volumes.load import LoadedCase, Loader

PSNR_RANGE_HU = 2000.0
"""Fixed, so that figures of different normalizations can be compared."""
LEAST_MSE_HU2 = 1e-3
"""An error below this counts as none: 96.0 dB."""
ROUND_TRIP_DB = 25.0
POWER_RATIO = 0.1
ZERO_SPREAD_HU = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found."""

    vitals: tuple[Vital, ...]
    power_share: dict[str, float]
    """Per channel, its share of the variance of all channels over the foreground."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """The sentence of every red vital."""
        return tuple(v.sentence for v in self.vitals if v.level == "red")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentence of every yellow vital."""
        return tuple(v.sentence for v in self.vitals if v.level == "yellow")

    def refuse(self) -> None:
        """Stop where a vital is red.

        Raises:
            SpecError: With every red sentence.
        """
        if self.refusals:
            raise SpecError(
                "the normalization is not fit for a fusion: " + " ".join(self.refusals)
            )


def audit(loader: Loader, loaded: Iterable[LoadedCase]) -> Audit:
    """Audit a spec on cases, each read once; bounded memory.

    Args:
        loader: What normalized them.
        loaded: Training cases, as `Loader.each` gives them.

    Raises:
        DataError: There is no case, or none has bone.
        SpecError: A CT channel can't be undone.
    """
    tallies = [_Tally(name=name) for name in loader.spec.names]
    for case in loaded:
        inside = foreground(case.pair)
        bone = case.pair.bone_zyx
        planes, inverses = loader.planes(case.pair), loader.inverses(case.pair)
        for c, tally in enumerate(tallies):
            tally.add(case.images_czyx[c], planes[c], inverses[c], inside)
            if loader.modalities[c] == CT and bone is not None:
                tally.undo(case.images_czyx[c][bone], planes[c][bone], inverses[c])
    of_ct = [
        t for t, kind in zip(tallies, loader.modalities, strict=True) if kind == CT
    ]
    if not tallies[0].voxels or not any(tally.bone for tally in of_ct):
        raise DataError("no case shows bone, so nothing can be audited; check its mask")
    stds = {tally.name: tally.std for tally in tallies}
    power = dict.fromkeys((MRI, CT), 0.0)
    for tally, kind in zip(tallies, loader.modalities, strict=True):
        power[kind] += tally.std**2
    vitals = [vital for tally in tallies for vital in tally.vitals()]
    vitals += [round_trip(of_ct), power_ratio(power)]
    vitals += [zero_spread(tally.name, tally.zeros) for tally in of_ct]
    whole = sum(std**2 for std in stds.values())
    return Audit(
        vitals=(*vitals, scale_ratio(stds)),
        power_share={name: std**2 / whole for name, std in stds.items()},
    )


def psnr_hu(
    found: NDArray[Any], true: NDArray[Any], range_hu: float = PSNR_RANGE_HU
) -> float:
    """Peak signal-to-noise ratio in dB over a fixed range of HU; 96 dB is exact."""
    error = found.astype(np.float64) - true
    return _psnr(float(np.mean(error * error)), range_hu)


def round_trip(tallies: Sequence[_Tally]) -> Vital:
    """Red when no CT channel gives bone back in HU; the best of several counts."""
    best = max(tallies, key=lambda tally: tally.psnr)
    return Vital(
        name=f"norm.{CT}.roundtrip_db",
        value=best.psnr,
        threshold=ROUND_TRIP_DB,
        basis="measured",
        level="green" if best.psnr >= ROUND_TRIP_DB else "red",
        sentence=f"Bone comes back from channel {best.name} with {best.psnr:.1f} dB "
        f"(of {PSNR_RANGE_HU:g} HU); {ROUND_TRIP_DB:g} dB or more is expected, so "
        "widen the clip, or add a channel that shows bone.",
    )


def power_ratio(power: dict[str, float]) -> Vital:
    """Red when one modality is nearly all of what a model is to learn.

    Args:
        power: Variance over the foreground, per modality.
    """
    least, most = sorted(power, key=lambda kind: power[kind])
    ratio = power[least] / power[most] if power[most] > 0 else math.nan
    share = power[least] / sum(power.values()) if power[most] > 0 else math.nan
    return Vital(
        name="norm.power_ratio",
        value=ratio,
        threshold=POWER_RATIO,
        basis="measured",
        level="green" if ratio >= POWER_RATIO else "red",
        sentence=f"{least} has {share:.3f} of the power of MRI and CT together "
        f"({ratio:.3g} of {most}'s); {POWER_RATIO:g} of it or more is expected, for a "
        f"model ignores what weighs so little. Normalize {least} to a spread like "
        f"{most}'s, as by its data set's mean and sd.",
    )


def zero_spread(channel: str, zeros: Sequence[float]) -> Vital:
    """Yellow when a normalized 0 stands for other HU in other cases."""
    low, high = min(zeros), max(zeros)
    return Vital(
        name=f"norm.{channel}.zero_spread",
        value=high - low,
        threshold=ZERO_SPREAD_HU,
        basis="measured",
        level="green" if high - low <= ZERO_SPREAD_HU else "yellow",
        sentence=f"In channel {channel} 0 stands for {low:.0f} to {high:.0f} HU, "
        f"depending on the case; within {ZERO_SPREAD_HU:g} HU is expected, so that "
        "tissues look alike; use constants of the data set.",
    )


@dataclass(slots=True)
class _Tally:
    """One channel over all cases."""

    name: str
    voxels: int = 0
    low: float = math.inf
    high: float = -math.inf
    one: float = 0.0
    two: float = 0.0
    below: int = 0
    above: int = 0
    bone: int = 0
    square_hu: float = 0.0
    zeros: list[float] = field(default_factory=list)

    def add(
        self,
        image_zyx: NDArray[np.float32],
        plane_zyx: NDArray[Any],
        undo: Inverse,
        inside: NDArray[np.bool_],
    ) -> None:
        """Count one case's foreground; its range is that of the whole volume."""
        self.low = min(self.low, float(image_zyx.min()))
        self.high = max(self.high, float(image_zyx.max()))
        after = image_zyx[inside].astype(np.float64)
        before = plane_zyx[inside]
        self.voxels += after.size
        self.one += float(after.sum())
        self.two += float(np.square(after).sum())
        self.below += int(np.count_nonzero(before < undo.low))
        self.above += int(np.count_nonzero(before > undo.high))
        self.zeros.append(undo.zero)

    def undo(
        self, image: NDArray[np.float32], true: NDArray[Any], undo: Inverse
    ) -> None:
        """Count how far bone comes back from where it was."""
        error = undo(image) - true
        self.bone += error.size
        self.square_hu += float(np.square(error).sum())

    @property
    def std(self) -> float:
        """Standard deviation over the foreground of all cases."""
        mean = self.one / self.voxels
        return math.sqrt(max(self.two / self.voxels - mean * mean, 0.0))

    @property
    def psnr(self) -> float:
        """Of bone in HU after normalizing and undoing it."""
        return _psnr(self.square_hu / self.bone) if self.bone else -math.inf

    def vitals(self) -> tuple[Vital, ...]:
        """Range, dead, std and saturation of this channel."""
        return channel_vitals(
            self.name,
            low=self.low,
            high=self.high,
            std=self.std,
            below=self.below / self.voxels,
            above=self.above / self.voxels,
        )


def _psnr(mse_hu2: float, range_hu: float = PSNR_RANGE_HU) -> float:
    return 10 * math.log10(range_hu**2 / max(mse_hu2, LEAST_MSE_HU2))
