"""Each rule meets the numbers of a good run and of the broken ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normgate.families.imc.vitals import SMALLEST_SIGMA, imc_vitals, norm_vitals
from normgate.gate.vitals import vital_from_record

GOOD = {
    "kl_true": 104.0,
    "kl_reported": 110.0,
    "active_share": 1.0,
    "diversity": 0.7,
    "spatial_r2": 0.6,
    "abundance_r2": 0.93,
    "r2_low_scale": 0.8,
    "dead_weights": 0.0,
    "clean_sharpness": 0.6,
    "density_probe": 0.94,
    "perm_accuracy": 0.88,
    "canonical_consistency": 1.0,
    "legacy_cosine_loss": 0.09,
}


def levels(**changed: float) -> dict[str, str]:
    found = imc_vitals(GOOD | changed, "linear")
    return {vital.name: vital.level for vital in found if vital.level != "green"}


def test_a_good_run_is_green_throughout() -> None:
    assert levels() == {}


@pytest.mark.parametrize(
    ("changed", "name", "level"),
    [
        ({"kl_true": 5.0, "kl_reported": 5.0}, "imc.kl.true", "red"),
        ({"active_share": 0.24}, "imc.latent.active", "red"),
        ({"active_share": math.nan}, "imc.latent.active", "red"),
        ({"kl_reported": 157.0}, "imc.kl.floor", "yellow"),
        ({"kl_reported": math.nan}, "imc.kl.floor", "yellow"),
        ({"diversity": 0.25}, "imc.images.diversity", "yellow"),
        ({"spatial_r2": 0.052}, "imc.images.spatial_r2", "red"),
        ({"spatial_r2": math.nan}, "imc.images.spatial_r2", "red"),
        ({"abundance_r2": 0.015}, "imc.images.abundance_r2", "red"),
        ({"r2_low_scale": -0.57}, "imc.images.r2_low_scale", "red"),
        ({"density_probe": -0.06}, "imc.latent.density_probe", "red"),
        ({"clean_sharpness": 0.3}, "imc.images.sharpness", "yellow"),
        ({"perm_accuracy": 0.125}, "imc.permuter.accuracy", "red"),
        ({"canonical_consistency": 0.9}, "imc.permuter.consistency", "red"),
        ({"dead_weights": 1.0}, "imc.loss.dead_weights", "red"),
        ({"legacy_cosine_loss": 0.28}, "imc.advisory.cosine_loss", "yellow"),
    ],
)
def test_each_rule_stands_alone(
    changed: dict[str, float], name: str, level: str
) -> None:
    assert levels(**changed) == {name: level}


@pytest.mark.parametrize("nats", [0.0, 9.9, 205.0])
def test_the_incidents_kld_is_recorded_and_judges_nothing(nats: float) -> None:
    assert "imc.advisory.kld_loss" not in levels(kl_reported=nats)


def test_a_collapsed_posterior_is_red_though_it_reports_128_nats() -> None:
    found = levels(kl_true=0.0, kl_reported=128.0, active_share=0.0)
    assert found == {
        "imc.kl.true": "red",
        "imc.latent.active": "red",
        "imc.kl.floor": "yellow",
    }


def test_silu_on_the_log_variance_is_red_whatever_was_learned() -> None:
    bad = [v.name for v in imc_vitals(GOOD, "silu_legacy") if v.level == "red"]
    assert bad == ["imc.latent.smallest_sigma"]
    assert SMALLEST_SIGMA["silu_legacy"] > 0.5 > SMALLEST_SIGMA["linear"]


@pytest.mark.parametrize(
    "absent",
    ["clean_sharpness", "density_probe", "perm_accuracy", "canonical_consistency"],
)
def test_what_a_training_can_not_have_is_left_out(absent: str) -> None:
    some = {key: value for key, value in GOOD.items() if key != absent}
    assert len(imc_vitals(some, "linear")) == len(imc_vitals(GOOD, "linear")) - 1


def test_every_vital_is_a_record_with_a_name_of_its_own() -> None:
    found = imc_vitals(GOOD, "linear")
    assert len({vital.name for vital in found}) == len(found)
    for vital in found:
        assert vital_from_record(vital.record()) == vital
        assert vital.sentence.endswith(".")


def test_a_panel_tells_of_the_channels_that_are_off() -> None:
    images = np.random.default_rng(0).normal(size=(50, 3, 4, 4)).astype(np.float32)
    images[:, 1] = 0
    found = {v.name: v.level for v in norm_vitals(("A", "B", "C"), images)}
    assert found["norm.B.dead"] == "red"
    assert set(found) == {"norm.scale_ratio", "norm.B.dead", "norm.B.std"}
