"""Real cells through training and bundle: that it works, and nothing about biology.

There are five wells, too few for a split: each picture is listed as several wells.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from normgate.contract import Channel, Clip, Rescale, Spec
from normgate.engine.assemble import assemble
from normgate.engine.member import train_member
from normgate.engine.settings import FitSettings
from normgate.families import open_bundle
from normgate.families.plate.assemble import golden_counts, headline, origin_of
from normgate.families.plate.bundled import PlateBundles
from normgate.families.plate.data import prepare
from normgate.families.plate.plan import Plan
from normgate.families.plate.selection import select
from normgate.families.plate.settings import PRESETS, ModelSettings
from normgate.families.plate.split import folds_of
from normgate.plates.geometry import Geometry
from normgate.plates.load import CELLS, Loader, PlaneKey, Site
from normgate.plates.probe import verify
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = {"DAPI": "1", "GFP": "2", "RFP": "3"}
CLASSES = ("WT", "APP")
FIT = FitSettings(epochs=2, seed=0, device="cpu")


def channel(name: str) -> Channel:
    limits = {"low": Decimal(257), "high": Decimal(40000)}
    return Channel(name=name, input="uint16", steps=(Clip(**limits), Rescale(**limits)))


def wells(folder: Path) -> list[Site]:
    """Every picture as two wells, one of each class."""
    found = []
    for number, dapi in enumerate(sorted((folder / "images").glob("*_DAPI_*.tif"))):
        planes = {
            PlaneKey(name, 0): dapi.with_name(
                dapi.name.replace("DAPI", name).replace("_01_1_", f"_01_{index}_")
            )
            for name, index in CHANNELS.items()
        }
        mask = next((folder / "masks").glob(f"{dapi.name.split('_DAPI')[0]}*"))
        planes[PlaneKey(CELLS, 0)] = mask
        for label in CLASSES:
            well = f"{label}{number}"
            found.append(
                Site(
                    plate="nf1",
                    well=well,
                    row=1,
                    column=1,
                    site="1",
                    genotype=label,
                    treatment="",
                    label=label,
                    split_group=well,
                    planes=planes,
                )
            )
    return found


def test_real_cells_are_trained_on_and_bundled(real_data: Path, tmp_path: Path) -> None:
    spec = Spec(channels=tuple(channel(name) for name in CHANNELS))
    geometry = Geometry(kind="cell", window=64, size=32, border="reflect")
    loader = Loader(spec, geometry, 0)
    places = wells(real_data / "plates" / "nf1_plate2_cytodataframe")
    labelled = select(places, PRESETS["rescue"])
    units = prepare(loader, labelled, tmp_path / "cache")
    assert len(units.labels) > 100
    assert not units.quarantined
    assert np.isfinite(units.images).all()
    plan = Plan(
        name="real",
        spec=spec,
        units=units,
        classes=CLASSES,
        fold=folds_of(units.labels, units.groups, CLASSES, folds=3, seed=0),
        folds=3,
        model=ModelSettings(),
    )
    member = train_member(plan.task(0, FIT), 0, FIT, NullTracker(), tmp_path / "m")
    origin = origin_of(
        plan,
        preset=PRESETS["rescue"],
        geometry=geometry,
        timepoint_ms=0,
        applied_fingerprint=verify(loader, places[0].planes[PlaneKey("DAPI", 0)]),
        provenance=None,
        data_digest="0" * 64,
    )
    golden = golden_counts(spec, geometry.size)
    figures_of = headline(plan, [member])
    family = PlateBundles()
    assemble(tmp_path / "bundle", family, origin, [member], FIT, figures_of, golden)

    bundle = open_bundle(tmp_path / "bundle")
    site = places[0]
    raw = loader.raw(site, loader.read(site))
    logits = bundle.ensemble.predict(raw)["logits"]
    first = units.groups == site.split_group
    task = plan.task(0, FIT)
    task.model.load_state_dict(member.state)
    assert np.allclose(logits, task.logits(np.flatnonzero(first)), atol=1e-5)
