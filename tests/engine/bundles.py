"""A small bundle of the plate family with untrained members."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tests.conftest import ROOT

from normgate.contract import read_spec, spec_digest
from normgate.engine.bundle import write_bundle
from normgate.engine.card import Card, MemberCard
from normgate.families.plate.assemble import golden_counts
from normgate.families.plate.bundled import PlateBundles
from normgate.plates.geometry import Geometry
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Spec

GEOMETRY = Geometry(kind="tile", window=24, size=16)
SPECS = ROOT / "contracts" / "specs"


def spec() -> Spec:
    return read_spec(SPECS / "plate_3ch.json")


def card(**changed: object) -> Card:
    own = spec()
    members = tuple(
        MemberCard(
            replicate=number,
            seed=number,
            train_groups=("P1:A01",),
            validation_groups=("P1:A02",),
            test_groups=("P1:A03",),
            temperature=1.0 + number,
            metrics={"test_auroc": 0.8, "odd": float("nan")},
        )
        for number in range(2)
    )
    whole = Card(
        family="plate",
        preset="rescue",
        settings={"model": {"backbone": "demo", "width": 1.0, "dropout": 0.2}},
        classes=("WT", "APP"),
        positive="APP",
        geometry=GEOMETRY.to_json(),
        timepoint_ms=0,
        spec_digest=spec_digest(own),
        applied_fingerprint=expected_fingerprint(own, GEOMETRY),
        members=members,
        metrics={"test_auroc": 0.8},
        vitals=(),
        code_version="0.1.0",
        created="2025-01-01T00:00:00+00:00",
    )
    return replace(whole, **changed)  # type: ignore[arg-type]


def write(folder: Path, whole: Card | None = None) -> str:
    whole = whole or card()
    family = PlateBundles()
    states = []
    for number in range(2):
        torch.manual_seed(number)
        states.append(family.network(spec(), whole).state_dict())
    return write_bundle(
        folder,
        family=family,
        spec=spec(),
        provenance=None,
        card=whole,
        states=states,
        golden_raw=golden_counts(spec(), 24),
    )
