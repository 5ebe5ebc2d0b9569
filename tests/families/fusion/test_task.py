"""The fusion task, held to the suite of every family, and what is its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.families.conformance import TaskConformance
from tests.families.fusion.simulated import QUICK, first_patches, plan

from normgate.engine.settings import FitSettings
from normgate.families.fusion.evaluation import unit_keys
from normgate.families.fusion.losses import training_loss
from normgate.families.fusion.settings import DiffusionSettings, ModelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.families.fusion.data import FusionUnits
    from normgate.families.fusion.task import FusionTask

FIT = FitSettings(epochs=1, seed=1, device="cpu", batch_size=6)


class TestFusionTask(TaskConformance):
    @pytest.fixture(autouse=True)
    def _units(self, head_units: FusionUnits) -> None:
        self.units = head_units

    def task(self, **changed: Any) -> FusionTask:
        return plan(self.units).task(0, FIT)

    def test_no_patient_is_in_two_parts(self) -> None:
        parts = self.task().parts
        groups = [
            set(self.units.groups[at])
            for at in (parts.train, parts.validation, parts.test)
        ]
        assert [len(names) for names in groups] == [3, 3, 3]
        assert len(set.union(*groups)) == 9

    def test_an_evaluation_has_metrics_ranges_baselines_and_exchanges(self) -> None:
        found = self.task().evaluate("validation")
        assert found["ct_low"] < -0.5 < 1.5 < found["ct_high"]
        assert found["baseline_copy_bone_psnr_hu"] > 40
        assert found["baseline_noise_bone_psnr_hu"] < 15
        for name in ("bone_ncc_drop", "brain_ncc_drop", "lesion_dice", "fused_high"):
            assert name in found
        assert found["ncc"] == min(found["bone_ncc"], found["brain_ncc"])

    def test_vitals_are_of_normalization_model_and_advice(self) -> None:
        levels = {vital.name: vital.level for vital in self.task().vitals()}
        assert levels["norm.power_ratio"] == "green"
        assert levels["norm.CT.roundtrip_db"] == "green"
        assert levels["fusion.bone.ncc"] == "red"
        assert "fusion.sampler.oracle" in levels
        assert "fusion.fused.copy_difference" in levels
        assert "fusion.advisory.loss" in levels

    def test_a_picture_shows_the_last_validation(self, tmp_path: Path) -> None:
        task = self.task()
        assert task.pictures(tmp_path) == {}
        task.evaluate("validation")
        (path,) = task.pictures(tmp_path).values()
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 20_000

    def test_an_unknown_lesion_charges_nothing(self) -> None:
        task = self.task()
        batch = dict(self.batch(task))
        batch["lesion_known"] = torch.zeros(len(batch["t"]))
        loss, parts = training_loss(
            task.model, task.diffusion, task.loss_settings, task.spans, batch
        )
        assert parts["lesion"] == 0
        loss.backward()
        assert all(
            float(p.grad.abs().sum()) == 0
            for p in task.model.lesion_head.parameters()
            if p.grad is not None
        )

    def test_members_keep_what_their_cards_need(self) -> None:
        concluded = self.task().conclude()
        assert len(concluded.test_groups) == 3
        assert "test_baseline_max_bone_ssim" in concluded.metrics
        assert "validation_bone_psnr_hu" in concluded.metrics


def test_regression_needs_no_sampler_and_sees_no_noise(
    head_units: FusionUnits,
) -> None:
    task = plan(head_units, diffusion=DiffusionSettings(mode="regression")).task(0, FIT)
    generator = torch.Generator().manual_seed(0)
    batch = next(iter(task.batches(generator)))
    assert batch["t"].tolist() == [0] * len(batch["t"])
    names = [vital.name for vital in task.vitals()]
    assert "fusion.sampler.oracle" not in names


def test_the_noise_of_a_unit_follows_from_its_pixels(head_units: FusionUnits) -> None:
    at = first_patches(head_units)
    images = np.array(head_units.images[at])
    keys = unit_keys(images)
    assert len(set(keys)) == len(keys)
    assert unit_keys(images[::-1].copy()) == keys[::-1]


def test_one_patient_alone_leaves_nothing_to_exchange(head_units: FusionUnits) -> None:
    from normgate.families.fusion.evaluation import evaluate

    task = plan(head_units).task(0, FIT)
    at = first_patches(head_units)
    found = evaluate(task.model, task.diffusion, head_units, at, task.spans).metrics
    assert math.isnan(found["bone_ncc_drop"])


def test_volumes_are_trained_in_patches_of_three_dimensions(
    heads: Path, tmp_path: Path
) -> None:
    from tests.families.fusion.simulated import loader, rows

    from normgate.families.fusion.data import prepare
    from normgate.volumes.geometry import VolumeGeometry

    geometry = VolumeGeometry(dims=3, patch=(2, 16, 16))
    units = prepare(loader(geometry=geometry), rows(heads)[:6], tmp_path)
    task = plan(
        units,
        model=ModelSettings(dims=3),
        diffusion=QUICK,
        fold=np.repeat([0, 1, 2], 8),
    ).task(0, FIT)
    batch = next(iter(task.batches(torch.Generator().manual_seed(0))))
    loss, _ = task.loss(batch, 0.0)
    loss.backward()
    assert batch["condition"].shape[1:] == (2, 2, 16, 16)
    assert task.evaluate("validation")["bone_psnr_hu"] > 0
    assert task.pictures(tmp_path)
