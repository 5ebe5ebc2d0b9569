"""How good fused images are, on whole cases.

The incident's own metrics are named `legacy_`: they change with the normalization. The
others are in HU over a fixed range or blind to affine changes, so that runs with
different normalizations can be compared. A region's voxels are pooled over all units of
a case; each metric is the mean over cases where it is defined, NaN where it never is.

Arrays are (n, ...) units, with `...` y, x or z, y, x, without a channel axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.families.fusion.losses import Span, local_ssim
from normgate.families.fusion.similarity import (
    correlation,
    legacy_psnr,
    legacy_ssim,
    mean,
    psnr_hu,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from normgate.families.fusion.losses import Spans

LESION_FROM = 0.5
"""Probability from which a voxel is called lesion."""
_AT_BOUND = 0.01
"""How near a bound counts as at it, as a share of the bounds' distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What fused images are held against."""

    case: NDArray[Any]
    """The case of each unit, (n,)."""
    mri: NDArray[np.float32]
    """Normalized."""
    ct: NDArray[np.float32]
    """Normalized."""
    ct_hu: NDArray[np.floating]
    """As measured, in HU."""
    brain: NDArray[np.bool_]
    bone: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    hu_gain: NDArray[np.float64]
    """(n,): normalized CT is gain * HU + offset, between the clip bounds."""
    hu_offset: NDArray[np.float64]
    """(n,), in normalized units."""

    def of_cases(self) -> Iterator[NDArray[np.intp]]:
        """The units of each case."""
        for name in np.unique(self.case):
            yield np.flatnonzero(self.case == name)

    def only(self, at: NDArray[np.intp]) -> References:
        """The same of some units."""
        names = (field.name for field in fields(self))
        return References(**{name: getattr(self, name)[at] for name in names})


def image_scores(
    fused: NDArray[np.float32], references: References, spans: Spans
) -> dict[str, float]:
    """Every metric of fused images.

    Args:
        fused: (n, ...), normalized units.
        references: Of the same units.
        spans: Of the references, for the local SSIM.

    Returns:
        legacy_brain_ssim, legacy_bone_ssim (one window, clamped to 0..1);
        legacy_bone_psnr (dB, of the largest normalized CT value); brain_ssim,
        bone_ssim (local); bone_psnr_hu (dB, of 2000 HU); brain_ncc, bone_ncc
        (correlation with MRI, and with CT in HU).
    """
    rows = [_case_scores(fused[at], references, at) for at in references.of_cases()]
    found = {name: mean([row[name] for row in rows]) for name in rows[0]}
    pairs = (("brain", "mri"), ("bone", "ct"))
    for region, modality in pairs:
        found[f"{region}_ssim"] = _local(
            fused,
            getattr(references, modality),
            references,
            region,
            getattr(spans, modality),
        )
    return found


def _case_scores(
    fused: NDArray[np.float32], references: References, at: NDArray[np.intp]
) -> dict[str, float]:
    brain, bone = references.brain[at], references.bone[at]
    mri, ct, ct_hu = references.mri[at], references.ct[at], references.ct_hu[at]
    shape = (-1, *(1,) * (fused.ndim - 1))
    gain = references.hu_gain[at].reshape(shape)
    hu = (fused.astype(np.float64) - references.hu_offset[at].reshape(shape)) / gain
    return {
        "legacy_brain_ssim": legacy_ssim(fused[brain], mri[brain]),
        "legacy_bone_ssim": legacy_ssim(fused[bone], ct[bone]),
        "legacy_bone_psnr": legacy_psnr(fused[bone], ct[bone], float(ct.max())),
        "bone_psnr_hu": psnr_hu(hu[bone], ct_hu[bone]),
        "brain_ncc": correlation(fused[brain], mri[brain]),
        "bone_ncc": correlation(fused[bone], ct_hu[bone]),
    }


def lesion_scores(
    probability: NDArray[np.float32], references: References
) -> dict[str, float]:
    """Overlap of predicted lesions with the true ones.

    Args:
        probability: Predicted probability of lesion, (n, ...).
        references: Of the same units.

    Returns:
        lesion_dice, over cases where either has a lesion; legacy_lesion_dice, smoothed
        by one voxel, which gives 1 where both are empty; lesion_both_empty, the share
        of such cases; lesion_nonempty, how many cases have a lesion; and
        lesion_identical, the share of those where the prediction is the truth to the
        voxel, as it is when the truth was passed as prediction.
    """
    plain, legacy, empty, identical = [], [], [], []
    for at in references.of_cases():
        called, truth = probability[at] >= LESION_FROM, references.lesion[at]
        both, sizes = int((called & truth).sum()), int(called.sum() + truth.sum())
        plain.append(2 * both / sizes if sizes else math.nan)
        legacy.append((2 * both + 1) / (sizes + 1))
        empty.append(float(sizes == 0))
        if truth.any():
            identical.append(float(np.array_equal(called, truth)))
    return {
        "lesion_dice": mean(plain),
        "legacy_lesion_dice": mean(legacy),
        "lesion_both_empty": mean(empty),
        "lesion_nonempty": float(len(identical)),
        "lesion_identical": mean(identical),
    }


def range_scores(
    fused: NDArray[np.float32],
    references: References,
    bounds: tuple[float, float] | None,
) -> dict[str, float]:
    """Lowest and highest value of MRI, CT and fused images, and the share at a bound.

    Args:
        fused: (n, ...).
        references: Of the same units.
        bounds: The values that fused images can't pass; None where there are none.
    """
    found: dict[str, float] = {}
    images = {"mri": references.mri, "ct": references.ct, "fused": fused}
    for name, image in images.items():
        found[f"{name}_low"], found[f"{name}_high"] = (
            float(image.min()),
            float(image.max()),
        )
    found["at_bound"] = 0.0
    if bounds is not None:
        near = _AT_BOUND * (bounds[1] - bounds[0])
        beyond = (fused <= bounds[0] + near) | (fused >= bounds[1] - near)
        found["at_bound"] = float(beyond.mean())
    return found


def measured_span(reference: NDArray[Any]) -> Span:
    """Percentiles 0.5 and 99.5 of training references, for the local SSIM.

    Raises:
        SettingsError: They are the same: the reference is a constant.
    """
    low, high = np.percentile(reference, (0.5, 99.5))
    return Span(low=float(low), high=float(high))


def _local(
    fused: NDArray[np.float32],
    image: NDArray[np.float32],
    references: References,
    region: str,
    span: Span,
) -> float:
    """Local SSIM, the mean over cases of the mean over the region's voxels."""
    mask = getattr(references, region)
    parts = (torch.from_numpy(np.ascontiguousarray(x)) for x in (fused, image, mask))
    a, b, inside = (part[:, None] for part in parts)
    units = local_ssim(a, b, inside, span).numpy().astype(np.float64)
    voxels = mask.reshape(len(mask), -1).sum(axis=1)
    found = []
    for at in references.of_cases():
        count = voxels[at].sum()
        share = float((units[at] * voxels[at]).sum() / count) if count else math.nan
        found.append(share)
    return mean(found)
