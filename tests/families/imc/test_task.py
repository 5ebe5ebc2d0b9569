"""The IMC task, held to the suite of every family, and what it says of its units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.families.conformance import TaskConformance
from tests.families.imc.simulated import drawn, task

from normgate.errors import SettingsError
from normgate.families.imc import task as tasks
from normgate.families.imc.settings import LossSettings

if TYPE_CHECKING:
    from normgate.families.imc.task import ImcTask

NO_KL = LossSettings(kld_scale=0.0)


class TestImcTask(TaskConformance):
    def task(self, **changed: Any) -> ImcTask:
        overfit = "dropout" in changed
        return task(loss=NO_KL if overfit else None)


class TestD4Task(TaskConformance):
    def task(self, **changed: Any) -> ImcTask:
        overfit = "dropout" in changed
        return task(
            loss=NO_KL if overfit else None,
            augment=not overfit,
            arch="d4",
            permuter="d4",
        )


def test_a_conclusion_tells_every_channel_and_probes_the_latent() -> None:
    found = task().conclude()
    names = set(found.metrics)
    assert {f"test_r2.E{c:04d}" for c in range(1, 13)} <= names
    assert {"test_class_probe", "test_density_probe", "test_clean_sharpness"} <= names
    assert {"test_kl_true", "test_kl_reported", "test_legacy_kld_loss"} <= names
    assert found.kept["test_mu"].shape == (48, 8)


def test_metrics_do_not_depend_on_the_normalization_of_a_perfect_model() -> None:
    """Only what an image measured on itself is missing from its reconstruction."""
    at = drawn().parts.test
    for normalization in ("none", "dataset_z", "global_z"):
        judge = task(normalization).judge
        seen = task(normalization).look(at)
        perfect = type(seen)(
            mu=seen.mu,
            logvar=seen.logvar,
            images=task(normalization).units.images[at].astype(float),
            permuted={},
        )
        scores = judge.scores(perfect, at, LossSettings())
        for name in ("r2_median", "spatial_r2", "abundance_r2", "r2_low_scale"):
            assert scores[name] == pytest.approx(1.0, abs=1e-3)


def test_a_perfect_model_of_standardized_images_has_lost_the_abundances() -> None:
    at, own = drawn().parts.test, task("image_z")
    seen = own.look(at)
    perfect = type(seen)(
        mu=seen.mu,
        logvar=seen.logvar,
        images=own.units.images[at].astype(float),
        permuted={},
    )
    scores = own.judge.scores(perfect, at, LossSettings())
    assert scores["abundance_r2"] < 0.1
    assert scores["spatial_r2"] > 0.5
    restored = own.judge.inverse.own(perfect.images, own.units.measured[at])
    assert own.judge.space.of_raw(restored) == pytest.approx(
        own.judge.truth(at), abs=1e-4
    )


def test_a_weight_that_reaches_nothing_stops_a_training_before_its_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The incident's own fault: the permutation loss was commented out of the sum."""
    real = tasks.training_loss

    def without_perm(model: Any, settings: Any, batch: Any, done: float) -> Any:
        return real(model, replace(settings, perm=0.0), batch, done)

    monkeypatch.setattr(tasks, "training_loss", without_perm)
    with pytest.raises(SettingsError, match=r"doubling perm \(1\.2\) changes no"):
        task(loss=LossSettings(perm=1.2), arch="d4", permuter="d4")


def test_augmentation_turns_units_and_follows_from_the_generator() -> None:
    plain, turned = task(), task(augment=True)
    one = next(iter(plain.batches(torch.Generator().manual_seed(0))))["units"]
    two = next(iter(turned.batches(torch.Generator().manual_seed(0))))["units"]
    assert not torch.equal(one, two)
    same = torch.sort(one.flatten(2)).values - torch.sort(two.flatten(2)).values
    assert float(same.abs().max()) == 0
