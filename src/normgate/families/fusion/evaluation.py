"""One evaluation: fuse, hold against references, exchange modalities, compare.

Whatever a fused image is judged by is put together here: every metric of `metrics`, the
baselines that no one had to learn, and what is lost when a modality is another
patient's.

Axes: n units, c channels in the network's order, then the patch.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.families.fusion.baselines import (
    baseline_scores,
    copy_difference,
    drops,
    shuffled,
)
from normgate.families.fusion.metrics import (
    References,
    image_scores,
    lesion_scores,
    range_scores,
)
from normgate.families.fusion.sampling import fuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.families.fusion.data import FusionUnits
    from normgate.families.fusion.diffusion import Diffusion
    from normgate.families.fusion.losses import Spans
    from normgate.families.fusion.model import FusionModel

VOXELS_AT_ONCE = 1 << 18
"""Voxels of one channel in one forward pass of an evaluation."""
MOVED = 3
"""Columns by which the CT is moved to see whether masks are copied."""
_MRI, _CT = 0, 1
_BRAIN, _BONE, _LESION = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """What a model makes of some units."""

    image: NDArray[np.float32]
    """(n, ...), normalized units."""
    lesion: NDArray[np.float32]
    """Probability of lesion, (n, ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation, and what it looked at."""

    metrics: dict[str, float]
    fused: Fused
    references: References


def references_of(units: FusionUnits, at: NDArray[np.int64]) -> References:
    """What fused images of some units are held against."""
    images, masks = units.images[at], units.masks[at]
    return References(
        case=units.cases[at],
        mri=images[:, _MRI],
        ct=images[:, _CT],
        ct_hu=units.hu[at],
        brain=masks[:, _BRAIN],
        bone=masks[:, _BONE],
        lesion=masks[:, _LESION],
        hu_gain=units.hu_gain[at],
        hu_offset=units.hu_offset[at],
    )


def unit_keys(condition: NDArray[np.float32]) -> list[str]:
    """What names each unit (n, c, ...): the digest of its pixels."""
    return [
        hashlib.sha256(one.astype("<f4").tobytes()).hexdigest() for one in condition
    ]


@torch.inference_mode()
def fused_units(
    model: FusionModel,
    diffusion: Diffusion,
    condition: NDArray[np.float32],
    keys: Sequence[str],
) -> Fused:
    """Fuse units and find their lesions, in evaluation mode.

    Args:
        model: Its device is where the work is done.
        diffusion: What its predictions mean.
        condition: Normalized units (n, c, ...), in the network's order.
        keys: What names each unit; its noise follows from it.
    """
    model.eval()
    device = next(model.parameters()).device
    step = max(1, VOXELS_AT_ONCE // math.prod(condition.shape[2:]))
    images, lesions = [], []
    for start in range(0, len(condition), step):
        piece = torch.from_numpy(np.array(condition[start : start + step])).to(device)
        fused = fuse(model, diffusion, piece, keys[start : start + step])
        images.append(fused[:, 0].cpu())
        lesions.append(torch.sigmoid(model.lesion(fused).float())[:, 0].cpu())
    return Fused(image=torch.cat(images).numpy(), lesion=torch.cat(lesions).numpy())


def evaluate(
    model: FusionModel,
    diffusion: Diffusion,
    units: FusionUnits,
    at: NDArray[np.int64],
    spans: Spans,
) -> Evaluation:
    """Every metric of some units, the same each time.

    Args:
        model: As it is now.
        diffusion: What its predictions mean.
        units: All units.
        at: The numbers of those to look at.
        spans: Of the references, for the local SSIM.

    Returns:
        The metrics by the names of `metrics` and `baselines`, and the worse one of
        bone_ncc and brain_ncc as `ncc`.
    """
    condition = np.array(units.images[at])
    keys = unit_keys(condition)
    references = references_of(units, at)
    found = fused_units(model, diffusion, condition, keys)
    plain = image_scores(found.image, references, spans)
    metrics = {
        **plain,
        "ncc": min(plain["bone_ncc"], plain["brain_ncc"]),
        **_lesions(found, references, units.lesion_known[at]),
        **range_scores(found.image, references, diffusion.bounds),
        **baseline_scores(references, spans),
    }
    other = shuffled(units.groups[at])
    if other is None:
        metrics |= {"bone_ncc_drop": math.nan, "brain_ncc_drop": math.nan}
    else:
        exchanged = [
            image_scores(
                fused_units(
                    model, diffusion, _exchanged(condition, other, channels), keys
                ).image,
                references,
                spans,
            )
            for channels in (slice(_CT, None), slice(_MRI, _MRI + 1))
        ]
        metrics |= drops(plain, exchanged[0], exchanged[1])
    return Evaluation(metrics=metrics, fused=found, references=references)


def misregistered_difference(
    model: FusionModel,
    diffusion: Diffusion,
    units: FusionUnits,
    at: NDArray[np.int64],
) -> float:
    """`copy_difference` where the CT was moved beside its masks by some columns."""
    condition = np.array(units.images[at])
    condition[:, _CT:] = np.roll(condition[:, _CT:], MOVED, axis=-1)
    found = fused_units(model, diffusion, condition, unit_keys(condition))
    references = replace(references_of(units, at), ct=condition[:, _CT])
    return copy_difference(found.image, references)


def _exchanged(
    condition: NDArray[np.float32], other: NDArray[np.intp], channels: slice
) -> NDArray[np.float32]:
    """The units with some channels of other patients."""
    result = condition.copy()
    result[:, channels] = condition[other][:, channels]
    return result


def _lesions(
    fused: Fused, references: References, known: NDArray[np.bool_]
) -> dict[str, float]:
    """Scores of lesions, over cases of which something is known."""
    at = np.flatnonzero(known)
    if not len(at):
        nothing = ("lesion_dice", "legacy_lesion_dice", "lesion_both_empty")
        return {
            **dict.fromkeys(nothing, math.nan),
            "lesion_nonempty": 0.0,
            "lesion_identical": math.nan,
        }
    return lesion_scores(fused.lesion[at], references.only(at))
