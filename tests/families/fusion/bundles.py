"""A small bundle of the fusion family with untrained members."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from tests.families.fusion.simulated import GEOMETRY, QUICK, spec

from normgate.contract import spec_digest
from normgate.engine.bundle import write_bundle
from normgate.engine.card import Card, MemberCard
from normgate.families.fusion.assemble import golden_volumes
from normgate.families.fusion.bundled import FusionBundles
from normgate.families.fusion.model import build
from normgate.families.fusion.settings import ModelSettings
from normgate.volumes.probe import expected_fingerprint

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a registry tells of a promoted version."""

    name: str
    version: str
    bundle: Path
    manifest_digest: str


def card(name: str = "fusion_mri_ct", members: int = 2) -> Card:
    own = spec(name)
    return Card(
        family="fusion",
        preset="stroke",
        settings={"model": asdict(ModelSettings()), "diffusion": asdict(QUICK)},
        classes=(),
        positive="",
        geometry=GEOMETRY.to_json(),
        timepoint_ms=None,
        spec_digest=spec_digest(own),
        applied_fingerprint=expected_fingerprint(own, GEOMETRY),
        members=tuple(
            MemberCard(
                replicate=number,
                seed=number,
                train_groups=("patient-0001",),
                validation_groups=("patient-0002",),
                test_groups=("patient-0003",),
                temperature=1.0,
                metrics={"test_bone_psnr_hu": 20.0},
            )
            for number in range(members)
        ),
        metrics={"test_bone_psnr_hu": 20.0},
        vitals=(),
        code_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
    )


def write(folder: Path, name: str = "fusion_mri_ct", members: int = 2) -> Promoted:
    own, whole = spec(name), card(name, members)
    states = []
    for number in range(members):
        torch.manual_seed(number)
        states.append(build(ModelSettings(), len(own.channels)).state_dict())
    digest = write_bundle(
        folder,
        family=FusionBundles(),
        spec=own,
        provenance=None,
        card=whole,
        states=states,
        golden_raw=golden_volumes(own, GEOMETRY),
    )
    return Promoted(
        name="fusion-stroke", version="1", bundle=folder, manifest_digest=digest
    )
