"""Phantoms as the arrays and tensors that tests of the family need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.families.fusion.losses import Span, Spans
from normgate.families.fusion.metrics import References
from normgate.volumes.phantom import PhantomSettings, phantoms

if TYPE_CHECKING:
    from normgate.families.fusion.diffusion import Diffusion

SPANS = Spans(mri=Span(low=-1.5, high=2.5), ct=Span(low=-2.5, high=1.9))
GAIN, OFFSET = 1 / 500, -0.5
"""Normalized CT is GAIN * HU + OFFSET."""


def references(count: int = 6, side: int = 32, depth: int = 0) -> References:
    """Heads (count, side, side), or (count, depth, side, side)."""
    shape = (depth or 1, side, side)
    heads = phantoms(count, PhantomSettings(seed=0, shape_zyx=shape))

    def all_of(name: str) -> np.ndarray:
        stack = np.stack([getattr(head, name) for head in heads])
        return stack if depth else stack[:, 0]

    mri = all_of("mri_zyx")
    flat = mri.reshape(count, -1)
    mean = np.array([x[x > 0].mean() for x in flat]).reshape(-1, *(1,) * (mri.ndim - 1))
    spread = np.array([x[x > 0].std() for x in flat]).reshape(mean.shape)
    return References(
        case=np.array([f"head-{index}" for index in range(count)]),
        mri=((mri - mean) / spread).astype(np.float32),
        ct=(all_of("ct_zyx") * GAIN + OFFSET).astype(np.float32),
        ct_hu=all_of("ct_zyx"),
        brain=all_of("brain_zyx"),
        bone=all_of("bone_zyx"),
        lesion=all_of("lesion_zyx"),
        hu_gain=np.full(count, GAIN),
        hu_offset=np.full(count, OFFSET),
    )


def batch(
    found: References, diffusion: Diffusion, seed: int = 0
) -> dict[str, torch.Tensor]:
    """One batch of all heads, with its noise."""
    generator = torch.Generator().manual_seed(seed)
    condition = torch.from_numpy(np.stack([found.mri, found.ct], axis=1))
    masks = {
        name: torch.from_numpy(getattr(found, name))[:, None]
        for name in ("brain", "bone", "lesion")
    }
    return {
        "condition": condition,
        "t": diffusion.levels(len(condition), generator),
        "noise": torch.randn(condition[:, :1].shape, generator=generator),
        **masks,
    }
