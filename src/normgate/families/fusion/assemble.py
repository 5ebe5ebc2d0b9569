"""What a bundle says of fusion replicates: its card's own part, golden volumes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.contract.ct import CT, modality
from normgate.engine.assemble import Origin
from normgate.volumes.phantom import PhantomSettings, phantom

if TYPE_CHECKING:
    from normgate.contract import Provenance, Spec
    from normgate.families.fusion.plan import Plan
    from normgate.families.fusion.settings import Preset
    from normgate.volumes.geometry import VolumeGeometry

FAMILY = "fusion"
GOLDEN_SEED = 20_000
"""Of the phantom in golden volumes; no demonstration has it."""
_GOLDEN_SIDE = 48
_GOLDEN_SLICES = 3


def origin_of(
    plan: Plan,
    *,
    preset: Preset,
    geometry: VolumeGeometry,
    applied_fingerprint: str,
    provenance: Provenance | None,
    data_digest: str,
) -> Origin:
    """What the bundle records beside its members.

    Args:
        plan: What the replicates share.
        preset: The clinical question.
        geometry: How volumes became patches.
        applied_fingerprint: As measured on the training's own kind of files.
        provenance: Where the spec's constants came from.
        data_digest: SHA-256 of the case CSV.
    """
    return Origin(
        family=FAMILY,
        preset=preset.name,
        spec=plan.spec,
        provenance=provenance,
        applied_fingerprint=applied_fingerprint,
        geometry=geometry.to_json(),
        settings={
            "model": asdict(plan.model),
            "diffusion": asdict(plan.diffusion),
            "loss": asdict(plan.loss),
            "task": asdict(plan.task_settings),
            "folds": plan.folds,
            "data_digest": data_digest,
            "quarantined": len(plan.units.quarantined),
            "power_share": dict(plan.units.audit.power_share),
        },
    )


def golden_volumes(spec: Spec, geometry: VolumeGeometry) -> torch.Tensor:
    """One phantom as raw volumes (1, c, z, y, x), float32; no data of anyone.

    It is a little larger than a patch across, so that putting together is seen too.
    """
    slices, rows, columns = geometry.patch_zyx
    shape = (
        slices + 1 if geometry.dims == 3 else _GOLDEN_SLICES,
        min(rows + rows // 4, _GOLDEN_SIDE),
        min(columns + columns // 4, _GOLDEN_SIDE),
    )
    head = phantom(0, PhantomSettings(seed=GOLDEN_SEED, shape_zyx=shape))
    volumes = [
        head.ct_zyx if modality(name) == CT else head.mri_zyx for name in spec.names
    ]
    return torch.from_numpy(np.stack(volumes)[None].astype(np.float32))
