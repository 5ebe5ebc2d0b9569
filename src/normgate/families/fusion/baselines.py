"""What no learning at all would reach, and what a model loses with a wrong modality.

Element-wise maximum and a copy of the regions reach an SSIM of 1 in both regions, so
scores without these beside them say nothing. Arrays are (n, ...) units as in `metrics`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.families.fusion.losses import composed
from normgate.families.fusion.metrics import image_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.families.fusion.losses import Spans
    from normgate.families.fusion.metrics import References


def shuffled(groups: NDArray[Any]) -> NDArray[np.intp] | None:
    """For each unit, one of another group, by rotation; None where that can't be.

    Args:
        groups: The patient of each unit, (n,).

    Returns:
        Unit numbers (n,): a permutation without a unit that stays in its group.
    """
    order = np.argsort(groups, kind="stable")
    largest = int(np.unique(groups, return_counts=True)[1].max())
    if 2 * largest > len(groups):
        return None
    other = np.empty_like(order)
    other[order] = np.roll(order, -largest)
    return other


def drops(
    plain: Mapping[str, float],
    ct_shuffled: Mapping[str, float],
    mri_shuffled: Mapping[str, float],
) -> dict[str, float]:
    """How much correlation is lost when a modality is another patient's.

    A model that ignores a modality loses nothing.

    Args:
        plain: `image_scores` of the fused images.
        ct_shuffled: The same where the model saw other patients' CT.
        mri_shuffled: The same for the MRI.
    """
    return {
        "bone_ncc_drop": plain["bone_ncc"] - ct_shuffled["bone_ncc"],
        "brain_ncc_drop": plain["brain_ncc"] - mri_shuffled["brain_ncc"],
    }


def baselines(references: References, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Images (n, ...) that no one had to learn: mean, max, copy of regions, noise."""
    rng = np.random.default_rng(seed)
    return {
        "mean": (references.mri + references.ct) / 2,
        "max": np.maximum(references.mri, references.ct),
        "copy": region_copy(references),
        "noise": rng.standard_normal(references.mri.shape, dtype=np.float32),
    }


def region_copy(references: References) -> NDArray[np.float32]:
    """CT in bone, MRI in the brain, their mean elsewhere."""
    parts = (references.mri, references.ct, references.brain, references.bone)
    images = (torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
    copied: NDArray[np.float32] = composed("roi_composite", *images).numpy()
    return copied


def baseline_scores(references: References, spans: Spans) -> dict[str, float]:
    """`image_scores` of each baseline, as `baseline_max_bone_ssim`."""
    return {
        f"baseline_{name}_{metric}": value
        for name, image in baselines(references).items()
        for metric, value in image_scores(image, references, spans).items()
    }


def copy_difference(fused: NDArray[np.float32], references: References) -> float:
    """Root mean square of fused images less the copy of regions, in the copy's sd."""
    copy = region_copy(references).astype(np.float64)
    off = math.sqrt(float(np.square(fused.astype(np.float64) - copy).mean()))
    return off / max(float(copy.std()), 1e-9)
