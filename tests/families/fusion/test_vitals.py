"""Each rule meets the numbers of a good run and of the broken ones."""

from __future__ import annotations

import math
from typing import Any

import pytest

from normgate.families.fusion import advisory, vitals
from normgate.families.fusion.vitals import fusion_vitals
from normgate.gate.vitals import Vital, vital_from_record, worst

GOOD = {
    "at_bound": 0.0,
    "bone_psnr_hu": 30.0,
    "bone_ncc": 0.97,
    "brain_ncc": 0.98,
    "bone_ncc_drop": 1.1,
    "brain_ncc_drop": 0.6,
    "lesion_identical": 0.2,
    "lesion_nonempty": 22.0,
    "baseline_noise_bone_psnr_hu": 8.2,
    "oracle_share": 0.998,
    "zero_gradient": 0.0,
    "copy_difference": 0.1,
    "legacy_bone_psnr": 23.0,
    "legacy_brain_ssim": 0.98,
    "ct_low": -2.6,
    "ct_high": 1.8,
    "fused_low": -1.9,
    "fused_high": 3.3,
    "loss": 0.2,
}


def levels(**changed: float) -> dict[str, str]:
    found = fusion_vitals(GOOD | changed, epoch=33)
    return {vital.name: vital.level for vital in found if vital.level != "green"}


def test_a_good_run_is_green_throughout() -> None:
    assert levels() == {}


@pytest.mark.parametrize(
    ("changed", "name", "level"),
    [
        ({"at_bound": 0.01}, "fusion.fused.at_bound", "red"),
        ({"at_bound": math.nan}, "fusion.fused.at_bound", "red"),
        ({"bone_psnr_hu": 15.0}, "fusion.bone.psnr_hu", "red"),
        ({"bone_ncc": 0.5}, "fusion.bone.ncc", "red"),
        ({"brain_ncc": 0.2}, "fusion.brain.ncc", "red"),
        ({"brain_ncc": math.nan}, "fusion.brain.ncc", "red"),
        ({"bone_ncc_drop": -0.002}, "fusion.bone.ct_shuffle_drop", "red"),
        ({"bone_ncc_drop": math.nan}, "fusion.bone.ct_shuffle_drop", "red"),
        ({"brain_ncc_drop": 0.3}, "fusion.brain.mri_shuffle_drop", "red"),
        ({"lesion_identical": 1.0}, "fusion.lesion.identical", "red"),
        ({"lesion_nonempty": 4.0}, "fusion.lesion.nonempty", "yellow"),
        ({"oracle_share": 0.20}, "fusion.sampler.oracle", "red"),
        ({"zero_gradient": 0.135}, "fusion.train.zero_gradient", "yellow"),
        ({"zero_gradient": 0.76}, "fusion.train.zero_gradient", "red"),
        ({"zero_gradient": math.nan}, "fusion.train.zero_gradient", "red"),
        (
            {"baseline_noise_bone_psnr_hu": 28.0},
            "fusion.bone.above_noise",
            "red",
        ),
        ({"copy_difference": 0.0}, "fusion.fused.copy_difference", "red"),
        ({"legacy_bone_psnr": -4.5}, "fusion.advisory.bone_psnr", "yellow"),
        ({"legacy_brain_ssim": 0.0002}, "fusion.advisory.brain_ssim", "yellow"),
        ({"ct_low": 0.01, "ct_high": 0.76}, "fusion.advisory.ct_range", "yellow"),
        ({"fused_low": -3.0}, "fusion.advisory.fused_range", "yellow"),
    ],
)
def test_each_rule_stands_alone(
    changed: dict[str, float], name: str, level: str
) -> None:
    assert levels(**changed) == {name: level}


def test_a_psnr_that_is_no_number_fails_both_of_its_rules() -> None:
    found = levels(bone_psnr_hu=math.nan)
    assert found == {"fusion.bone.psnr_hu": "red", "fusion.bone.above_noise": "red"}


def test_a_lesion_free_set_has_nothing_to_be_identical_to() -> None:
    found = levels(lesion_identical=math.nan, lesion_nonempty=0.0)
    assert found == {"fusion.lesion.nonempty": "yellow"}


def test_the_incidents_flags_wait_for_their_epoch_and_are_never_red() -> None:
    names = ("legacy_bone_psnr", "legacy_brain_ssim", "fused_high", "loss")
    awful = dict.fromkeys(names, math.nan)
    found = advisory.advisory(GOOD | awful, epoch=10)
    assert worst(found) == "yellow"
    early = advisory.advisory(GOOD | {"legacy_bone_psnr": -4.5}, epoch=9)
    assert worst(early) == "green"


def test_the_loss_is_recorded_and_judges_nothing() -> None:
    assert levels(loss=2.01) == {}
    assert "recorded" in advisory.loss(2.01).sentence


def test_the_incidents_flags_let_a_model_pass_that_ignores_ct() -> None:
    """And the others do not: the reason why they are there."""
    pooled = {
        "bone_ncc": -0.03,
        "bone_ncc_drop": 0.0,
        "bone_psnr_hu": 12.9,
        "legacy_bone_psnr": 5.8,
        "legacy_brain_ssim": 0.298,
        "loss": 1.4,
    }
    assert worst(advisory.advisory(GOOD | pooled, epoch=33)) == "green"
    assert worst(fusion_vitals(GOOD | pooled, epoch=33)) == "red"


@pytest.mark.parametrize("absent", ["oracle_share", "zero_gradient", "copy_difference"])
def test_what_a_training_can_not_have_is_left_out(absent: str) -> None:
    some = {key: value for key, value in GOOD.items() if key != absent}
    assert len(fusion_vitals(some, 33)) == len(fusion_vitals(GOOD, 33)) - 1


def test_every_vital_is_a_record_with_a_name_of_its_own() -> None:
    found = fusion_vitals(GOOD, epoch=33)
    assert len({vital.name for vital in found}) == len(found)
    for vital in found:
        assert vital_from_record(vital.record()) == vital
        assert vital.name.isascii()
        assert vital.sentence.endswith(".")


def test_thresholds_say_what_they_rest_on() -> None:
    basis: dict[str, Any] = {v.name: v.basis for v in fusion_vitals(GOOD, epoch=33)}
    assert basis["fusion.sampler.oracle"] == "theorem"
    assert basis["fusion.bone.ncc"] == "measured"
    assert {b for n, b in basis.items() if "advisory" in n} == {"judgement"}
    assert isinstance(vitals.sampler(0.2), Vital)
