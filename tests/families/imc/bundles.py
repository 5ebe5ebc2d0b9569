"""Demonstration acquisitions of eight channels, and a bundle with random weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.acquisitions.applied import verify
from normgate.acquisitions.demo import DemoSettings, write_demo
from normgate.acquisitions.geometry import CellGeometry, GridGeometry
from normgate.acquisitions.load import Loader
from normgate.acquisitions.table import Acquisition, acquisitions, read_acquisition_csv
from normgate.contract import Channel, Spec, Standardize
from normgate.contract.steps import exact
from normgate.engine.assemble import assemble
from normgate.engine.bundle import load
from normgate.engine.card import MemberCard
from normgate.engine.member import Member
from normgate.engine.settings import FitSettings
from normgate.engine.split import group_folds
from normgate.families.imc.assemble import golden_acquisitions, origin_of
from normgate.families.imc.bundled import ImcBundles
from normgate.families.imc.data import prepare
from normgate.families.imc.graph import CellGraphModel
from normgate.families.imc.model import Grid, build
from normgate.families.imc.plan import Plan
from normgate.families.imc.settings import ImcSettings, LossSettings, ModelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from normgate.acquisitions.place import Format

DEMO = DemoSettings(patients=3, per_slide=4, channels=8)
GEOMETRY = GridGeometry(grid=(6, 6))
FIT = FitSettings(epochs=1, seed=0, device="cpu", batch_size=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a registry tells of a promoted version."""

    name: str
    version: str
    bundle: Path
    manifest_digest: str


def demo(folder: Path, *, permute: bool) -> Path:
    """The acquisition CSV of a small demonstration."""
    return write_demo(folder, replace(DEMO, permute=permute))


def rows_of(csv: Path) -> tuple[Acquisition, ...]:
    return acquisitions(read_acquisition_csv(csv), csv)


def spec() -> Spec:
    step = Standardize(mean=exact(0.1), std=exact(2))
    names = [f"E{c + 1:04d}" for c in range(8)]
    channels = (Channel(name=name, input="float32", steps=(step,)) for name in names)
    return Spec(channels=tuple(channels))


def plan(csv: Path, cache: Path) -> Plan:
    units = prepare(Loader(spec(), GEOMETRY), rows_of(csv), cache)
    return Plan(
        name="imc",
        units=units,
        geometry=GEOMETRY,
        fold=group_folds(units.groups, folds=3, seed=0, what="patients"),
        folds=3,
        settings=ImcSettings(model=ModelSettings(latent=5), loss=LossSettings()),
        cofactor=None,
        augment=False,
    )


def promoted(csv: Path, folder: Path) -> Promoted:
    """A bundle of two members with random weights."""
    own = plan(csv, folder / "cache")
    return bundled(own, untrained(own), folder)


def untrained(own: Plan) -> list[Member]:
    """Two members with random weights."""
    return [_member(own, number) for number in range(2)]


def bundled(
    own: Plan, members: list[Member], folder: Path, like: Format = "hdf5"
) -> Promoted:
    """A bundle of members."""
    origin = origin_of(
        own,
        preset="imc",
        applied_fingerprint=verify(Loader(own.units.spec, own.geometry), like),
        provenance=None,
        data_digest="0" * 64,
    )
    bundle = folder / "imc"
    metrics = {"test_r2_median": 0.5}
    assemble(
        bundle, ImcBundles(), origin, members, FIT, metrics, golden_acquisitions(own)
    )
    digest = load(bundle, ImcBundles()).manifest_digest
    return Promoted(name="imc", version="3", bundle=bundle, manifest_digest=digest)


def _network(own: Plan) -> nn.Module:
    channels = len(own.units.spec.channels)
    if isinstance(own.geometry, CellGeometry):
        return CellGraphModel(own.settings.model, channels)
    return build(own.settings.model, Grid(channels=channels, side=6))


def _member(own: Plan, number: int) -> Member:
    torch.manual_seed(number)
    model = _network(own)
    groups = tuple(np.unique(own.units.groups).tolist())
    return Member(
        card=MemberCard(
            replicate=number,
            seed=number,
            train_groups=groups[:1],
            validation_groups=groups[1:2],
            test_groups=groups[2:],
            temperature=1.0,
            metrics={"test_r2_median": 0.5},
        ),
        state=model.state_dict(),
        vitals=(),
        history=(),
        kept={},
    )
