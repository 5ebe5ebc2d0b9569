"""Bringing MRI, CT and masks of one case together, and judging whether they belong.

One grid: shapes are equal, and no corner lies further apart than a tenth of a voxel;
resampling is not done here. The CT must be in HU, and the two heads must lie in one
place. `read_pair` only reads; `check_pair` looks at the values. Thresholds are
judgement, wide enough for any head CT.

`_zyx` arrays are (slices, rows, columns).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import DataError
from normgate.volumes.read import read_mask, read_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.volumes.cases import Case
    from normgate.volumes.volume import Volume

APART_VOXELS = 0.1
AIR_HU = (-1100, -500)
BONE_HU = 300
SOFT_HU = (-150, 150)
SHARE = 0.01
"""Share of voxels that air, soft tissue or bone must have to be there."""
BRAIN_HU = (-20.0, 100.0)
"""Within these lies the median of a brain."""
BONE_MEDIAN_HU = (150.0, 2500.0)
"""Within these lies the median of a bone mask."""
HEAD_HU = -300
HEADS_OVERLAP = 0.5
"""Share of the smaller head that must lie within the larger one."""
MASKS_OVERLAP = 0.02
"""Brain and bone that share more of the smaller one than this are misaligned."""
_THIN = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """MRI and CT of one case on one grid."""

    case: Case
    mri: Volume
    ct: Volume
    """HU, after a declared rescale."""
    brain_zyx: NDArray[np.bool_] | None
    bone_zyx: NDArray[np.bool_] | None
    lesion_zyx: NDArray[np.bool_] | None
    """None where nothing is known."""
    notes: tuple[str, ...] = ()
    """What a person should know of this case."""

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        slices, rows, columns = self.mri.array_zyx.shape
        return slices, rows, columns

    def with_notes(self, *notes: str) -> Pair:
        """The same pair with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def read_pair(case: Case) -> Pair:
    """Read a case's files onto one grid.

    Raises:
        CorruptImage: A file is missing, cut short or not what its name says.
        DataError: A file is no volume, or lies on another grid than the MRI.
    """
    mri, ct = read_volume(case.mri), read_volume(case.ct, case.ct_rescale)
    check_grid(mri, ct)
    masks: dict[str, NDArray[np.bool_] | None] = {}
    for name, path in (
        ("brain", case.brain),
        ("bone", case.bone),
        ("lesion", case.lesion),
    ):
        mask = None if path is None else read_mask(path)
        if mask is not None:
            check_grid(mri, mask)
        masks[f"{name}_zyx"] = None if mask is None else mask.array_zyx
    notes = [f"MRI: {note}" for note in mri.notes]
    notes += [f"CT: {note}" for note in ct.notes]
    return Pair(case=case, mri=mri, ct=ct, notes=tuple(notes), **masks)


def check_grid(one: Volume, other: Volume) -> None:
    """Refuse two volumes that do not lie on one grid.

    Raises:
        DataError: With both files, and how they differ.
    """
    if one.array_zyx.shape != other.array_zyx.shape:
        raise DataError(
            f"{one.path} has {_shape(one)} voxels and {other.path} {_shape(other)} "
            "(slices, rows, columns); resample one onto the other's grid"
        )
    ends = [(0, n - 1) for n in reversed(one.array_zyx.shape)]
    corners = np.array(np.meshgrid(*ends, [1])).reshape(4, -1)
    away = (one.affine - other.affine) @ corners
    apart = float(np.linalg.norm(away[:3], axis=0).max())
    allowed = APART_VOXELS * min(one.spacing_mm)
    if not apart <= allowed:
        raise DataError(
            f"{one.path} and {other.path} lie up to {apart:.3g} mm apart, expected "
            f"one place within {allowed:.3g} mm; register and resample one onto the "
            "other's grid"
        )


def check_pair(pair: Pair) -> Pair:
    """Judge the values of a pair.

    Returns:
        The pair, with a note for everything that is odd but may be so.

    Raises:
        DataError: The CT is not in HU, the heads do not overlap, or a given mask of
            brain or bone can't be one.
    """
    check_hu(pair)
    share = _overlap(_mri_head(pair), pair.ct.array_zyx > HEAD_HU)
    if share < HEADS_OVERLAP:
        raise DataError(
            f"{pair.case.mri} and {pair.case.ct} are misaligned: {share:.0%} of the "
            f"smaller head lies in the other, expected {HEADS_OVERLAP:.0%} or more; "
            "register them, and look whether they are of one patient"
        )
    if pair.brain_zyx is None or pair.bone_zyx is None:
        return pair
    shared = _overlap(pair.brain_zyx, pair.bone_zyx)
    if shared <= MASKS_OVERLAP:
        return pair
    return pair.with_notes(
        f"brain and bone share {shared:.0%} of the smaller mask: MRI and CT may be "
        "misaligned"
    )


def check_hu(pair: Pair) -> None:
    """Refuse a CT whose values can't be Hounsfield units.

    A CT shows air and soft tissue, or has masks of brain and bone; their medians are
    where they belong.

    Raises:
        DataError: With the range that was found, and what a rescale would do.
    """
    ct_zyx = pair.ct.array_zyx
    declared = " after its declared rescale" if pair.case.ct_rescale else ""
    masked = pair.brain_zyx is not None and pair.bone_zyx is not None
    if not looks_like_hu(ct_zyx) and not (masked and _medians_fit(pair)):
        raise DataError(
            f"{pair.case.ct} is not in HU{declared}: {_range(ct_zyx)}, while air lies "
            f"near -1000, brain at 0 to 80 and bone above {BONE_HU} HU; "
            + _advice(pair)
        )
    for name, mask, least, most in _medians(pair):
        median = float(np.median(ct_zyx[mask]))
        if not least <= median <= most:
            raise DataError(
                f"the {name} of {pair.case.name} has a median of {median:g} HU"
                f"{declared} in {pair.case.ct}, expected {least:g} to {most:g}; "
                f"{_range(ct_zyx)}, so its scale or the mask is wrong: declare "
                "ct_slope and ct_intercept in its row, or mend the mask"
            )


def looks_like_hu(ct_zyx: NDArray[Any]) -> bool:
    """Whether values show air and soft tissue, and the middle above air is tissue."""
    values = _thinned(ct_zyx)
    inner = values[values >= AIR_HU[1]]
    soft = np.mean((values >= SOFT_HU[0]) & (values <= SOFT_HU[1])) >= SHARE
    air = np.mean((values > AIR_HU[0]) & (values < AIR_HU[1])) >= SHARE
    return bool(soft and air and SOFT_HU[0] <= np.median(inner) <= BONE_HU)


def suggested_rescale(ct_zyx: NDArray[Any]) -> tuple[float, float] | None:
    """Slope and intercept that would make HU of what is none; None for a constant.

    Values that are 1024 too large are moved; of others the lowest is taken for air at
    -1000 HU and the middle of the head for brain at 35 HU.
    """
    values = _thinned(ct_zyx).astype(np.float64)
    low, top = float(values.min()), float(np.percentile(values, 99))
    inner = values[values > low + 0.25 * (top - low)]
    if not inner.size or not low < (middle := float(np.median(inner))):
        return None
    if -50 <= middle - 1024 <= 150 and -24 <= low <= 124:
        return 1.0, -1024.0
    slope = float(f"{1035 / (middle - low):.4g}")
    return slope, float(f"{-1000 - slope * low:.6g}")


def _medians(
    pair: Pair,
) -> list[tuple[str, NDArray[np.bool_], float, float]]:
    """The masks that are given, with the range of HU that their median has."""
    known = (
        ("brain", pair.brain_zyx, BRAIN_HU),
        ("bone", pair.bone_zyx, BONE_MEDIAN_HU),
    )
    return [
        (name, mask, *ends)
        for name, mask, ends in known
        if mask is not None and mask.any()
    ]


def _medians_fit(pair: Pair) -> bool:
    found = _medians(pair)
    ct_zyx = pair.ct.array_zyx
    return len(found) == 2 and all(
        least <= np.median(ct_zyx[mask]) <= most for _, mask, least, most in found
    )


def _advice(pair: Pair) -> str:
    ct_zyx = pair.ct.array_zyx
    if looks_like_hu(pair.mri.array_zyx):
        return "the MRI of this row is, so mri and ct may be exchanged"
    zeros = float(np.mean(ct_zyx == 0))
    if zeros > 0.3 and ct_zyx.min() < 0:
        return (
            f"{zeros:.0%} of it is exactly 0, as where all but the brain was erased; "
            "use the CT before that"
        )
    found = suggested_rescale(ct_zyx)
    if found is None:
        return "it has no contrast; use another file"
    slope, intercept = found
    ends = sorted(float(end) * slope + intercept for end in _ends(ct_zyx))
    return (
        "if its scale is linear and you know it, declare ct_slope and ct_intercept in "
        f"its row; {slope:g} and {intercept:g} would give {ends[0]:.0f}..{ends[1]:.0f}"
    )


def _range(ct_zyx: NDArray[Any]) -> str:
    low, high = _ends(ct_zyx)
    return f"its values run from {low:g} to {high:g}"


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """At most some million values, evenly taken."""
    flat = values.reshape(-1)
    return flat[:: max(1, flat.size // _THIN)]


def _mri_head(pair: Pair) -> NDArray[np.bool_]:
    """Where the MRI is brighter than a tenth of its own range."""
    low, high = np.percentile(_thinned(pair.mri.array_zyx), (1, 99))
    bright: NDArray[np.bool_] = pair.mri.array_zyx > low + 0.1 * (high - low)
    return bright


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """What share of the smaller mask lies in the other; 0 where one is empty."""
    smaller = min(np.count_nonzero(one), np.count_nonzero(other))
    return float(np.count_nonzero(one & other) / smaller) if smaller else 0.0


def _shape(volume: Volume) -> str:
    return "x".join(map(str, volume.array_zyx.shape))
