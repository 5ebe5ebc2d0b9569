"""A tiny true bundle of the plate family: two small networks of random weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from tests.deploy.fakes import TILES

from normgate.contract import spec_digest
from normgate.engine.bundle import write_bundle
from normgate.engine.card import Card, MemberCard
from normgate.families.plate.bundled import PlateBundles
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings
from normgate.gate.vitals import channel_std
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Spec
    from normgate.plates.geometry import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a registry tells of a promoted version."""

    name: str
    version: str
    bundle: Path
    manifest_digest: str


def make_bundle(
    folder: Path,
    spec: Spec,
    timepoint_ms: int | None,
    *,
    geometry: Geometry = TILES,
    model: ModelSettings | None = None,
    members: int = 2,
) -> str:
    """Write a bundle; its manifest's digest comes back."""
    model = model or ModelSettings(dropout=0.0)
    torch.manual_seed(11)
    states = [build(model, len(spec.channels), 2).state_dict() for _ in range(members)]
    card = Card(
        family="plate",
        preset="rescue",
        settings={"model": asdict(model), "aggregation": "median"},
        classes=("WT", "APP"),
        positive="APP",
        geometry=geometry.to_json(),
        timepoint_ms=timepoint_ms,
        spec_digest=spec_digest(spec),
        applied_fingerprint=expected_fingerprint(spec, geometry),
        members=tuple(_member(index) for index in range(members)),
        metrics={"test_auroc": 0.5},
        vitals=(channel_std(spec.names[0], 1.0).record(),),
        code_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
    )
    side = geometry.window or geometry.size
    raw = torch.arange(2 * len(spec.channels) * side * side) * 37 % 4096
    return write_bundle(
        folder,
        family=PlateBundles(),
        spec=spec,
        provenance=None,
        card=card,
        states=states,
        golden_raw=raw.to(torch.uint16).reshape(2, len(spec.channels), side, side),
    )


def promoted(folder: Path, name: str, spec: Spec, timepoint_ms: int | None) -> Promoted:
    """A bundle in `folder/name`, as a registry would resolve it."""
    digest = make_bundle(folder / name, spec, timepoint_ms)
    return Promoted(
        name=name, version="3", bundle=folder / name, manifest_digest=digest
    )


def _member(index: int) -> MemberCard:
    return MemberCard(
        replicate=index,
        seed=index,
        train_groups=("P1:A01", "P1:A02"),
        validation_groups=(f"P1:A{3 + index:02d}",),
        test_groups=("P1:A09",),
        temperature=1.0 + index,
        metrics={"test_auroc": 0.5},
    )
