"""Replicates and their bundle: resumed, found again, deterministic, and pictured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.families.plate.simulated import GEOMETRY, spec

from normgate.engine import member, record
from normgate.engine.assemble import assemble, worst_vitals
from normgate.engine.member import Member, train_member
from normgate.engine.settings import FitSettings
from normgate.families import open_bundle
from normgate.families.plate import figures
from normgate.families.plate.assemble import (
    golden_counts,
    headline,
    held_out,
    origin_of,
    outcome,
)
from normgate.families.plate.bundled import PlateBundles
from normgate.families.plate.plan import Plan
from normgate.families.plate.settings import PRESETS, ModelSettings
from normgate.families.plate.split import folds_of
from normgate.plates.probe import expected_fingerprint
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.engine.card import Card
    from normgate.families.plate.data import PlateUnits

CLASSES = ("WT", "APP")
FIT = FitSettings(epochs=2, seed=0, device="cpu")


def plan(units: PlateUnits) -> Plan:
    return Plan(
        name="rescue-0ms",
        spec=spec(),
        units=units,
        classes=CLASSES,
        fold=folds_of(units.labels, units.groups, CLASSES, folds=3, seed=0),
        folds=3,
        model=ModelSettings(),
    )


@pytest.fixture(scope="module")
def trained(
    small_units: PlateUnits, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, list[Member], Path]:
    whole = plan(small_units)
    folder = tmp_path_factory.mktemp("members")
    members = [
        train_member(whole.task(r, FIT), r, FIT, NullTracker(), folder / str(r))
        for r in range(2)
    ]
    return whole, members, folder


def bundled(folder: Path, whole: Plan, members: list[Member]) -> Card:
    origin = origin_of(
        whole,
        preset=PRESETS["rescue"],
        geometry=GEOMETRY,
        timepoint_ms=0,
        applied_fingerprint=expected_fingerprint(spec(), GEOMETRY),
        provenance=None,
        data_digest="0" * 64,
    )
    golden = golden_counts(whole.spec, GEOMETRY.window or GEOMETRY.size)
    figures_of = headline(whole, members)
    return assemble(folder, PlateBundles(), origin, members, FIT, figures_of, golden)


def test_a_finished_replicate_is_found_and_not_fitted(
    trained: tuple[Plan, list[Member], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, members, folder = trained
    monkeypatch.setattr(member, "fit", lambda *_: pytest.fail("fitted again"))
    found = train_member(whole.task(0, FIT), 0, FIT, NullTracker(), folder / "0")
    assert found.card == members[0].card
    assert found.vitals == members[0].vitals
    for key, value in members[0].state.items():
        assert torch.equal(found.state[key], value)
    pairs = zip(outcome(found), outcome(members[0]), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_the_card_says_which_wells_a_member_saw(
    trained: tuple[Plan, list[Member], Path], tmp_path: Path
) -> None:
    whole, members, _ = trained
    card = bundled(tmp_path / "bundle", whole, members)
    for one in card.members:
        parts = (one.train_groups, one.validation_groups, one.test_groups)
        assert sum(map(len, parts)) == len(set().union(*parts)) == 16
    assert card.members[0].test_groups != card.members[1].test_groups
    mean = np.mean([one.metrics["test_auroc"] for one in card.members])
    assert card.metrics["test_auroc"] == pytest.approx(mean)
    assert [vital["name"] for vital in card.vitals] == [
        vital.name for vital in worst_vitals(members)
    ]


def test_the_bundle_gives_the_logits_that_training_saw(
    trained: tuple[Plan, list[Member], Path], tmp_path: Path
) -> None:
    whole, members, _ = trained
    bundled(tmp_path / "bundle", whole, members)
    ensemble = open_bundle(tmp_path / "bundle").ensemble
    at, trained_logits = outcome(members[0])
    with torch.inference_mode():
        outputs = ensemble.outputs(torch.from_numpy(whole.units.images[at]))
    assert np.allclose(outputs["logits"][0].numpy(), trained_logits, atol=1e-5)


def test_the_same_members_keep_the_bundle_that_is_there(
    trained: tuple[Plan, list[Member], Path], tmp_path: Path
) -> None:
    whole, members, _ = trained
    bundled(tmp_path / "b", whole, members)
    manifest = tmp_path / "b" / "manifest.json"
    before = manifest.read_bytes(), manifest.stat().st_mtime_ns
    bundled(tmp_path / "b", whole, members)
    assert (manifest.read_bytes(), manifest.stat().st_mtime_ns) == before
    bundled(tmp_path / "b", whole, members[:1])
    assert len(open_bundle(tmp_path / "b").card.members) == 1


def test_every_picture_is_written(
    trained: tuple[Plan, list[Member], Path], tmp_path: Path
) -> None:
    whole, members, _ = trained
    figures.histograms(tmp_path / "a.png", whole.spec, whole.units)
    figures.montage(tmp_path / "b.png", whole.units, CLASSES)
    figures.curves(tmp_path / "c.png", members[0].history)
    curves = {"one": held_out(whole, members)}
    figures.roc_and_calibration(tmp_path / "d.png", curves, "APP")
    for name in "abcd":
        data = (tmp_path / f"{name}.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5000


def test_every_constant_is_a_param_of_its_own() -> None:
    params = record.spec_params(spec())
    assert params["norm.RFP1.low"] == "963"
    assert params["norm.HALO_MASKED.high"] == "238"
    assert params["norm.HALO.mean"] == "0.456"
    assert params["norm.HALO.steps"] == "clip, rescale, standardize"
    assert not any(".clip." in key or ".rescale." in key for key in params)
    table = record.spec_table(spec())
    assert "| RFP1 | uint16: clip 963..9016" in table
