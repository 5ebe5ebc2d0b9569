"""Metrics on images whose answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.families.fusion.heads import GAIN, OFFSET, SPANS, references

from normgate.families.fusion.baselines import (
    baseline_scores,
    baselines,
    copy_difference,
    drops,
    region_copy,
    shuffled,
)
from normgate.families.fusion.metrics import (
    image_scores,
    lesion_scores,
    measured_span,
    range_scores,
)
from normgate.families.fusion.similarity import (
    correlation,
    legacy_psnr,
    legacy_ssim,
    mean,
    psnr_hu,
)

HEADS = references()
RNG = np.random.default_rng(0)


def test_a_copy_of_the_regions_is_perfect_by_every_measure() -> None:
    found = image_scores(region_copy(HEADS), HEADS, SPANS)
    for name, value in found.items():
        if "psnr" in name:
            assert value > 80, name
        else:
            assert value == pytest.approx(1, abs=1e-4), name


def test_the_legacy_metrics_are_perfect_for_a_mere_maximum_too() -> None:
    """CT is above MRI in bone in every normalization that has a sensible mean."""
    copied = baseline_scores(HEADS, SPANS)
    assert copied["baseline_max_legacy_bone_ssim"] == pytest.approx(1, abs=1e-3)
    assert copied["baseline_max_legacy_brain_ssim"] > 0.9
    assert copied["baseline_noise_legacy_bone_ssim"] < 0.05
    assert abs(copied["baseline_noise_bone_ncc"]) < 0.1


def test_the_legacy_psnr_of_noise_rises_with_the_normalization_alone() -> None:
    noise = baselines(HEADS)["noise"]
    minmax = replace(
        HEADS,
        ct=((HEADS.ct_hu + 1000) / 4000).astype(np.float32),
        hu_gain=np.full(6, 1 / 4000),
        hu_offset=np.full(6, 0.25),
    )
    narrow = image_scores(noise, minmax, SPANS)["legacy_bone_psnr"]
    wide = image_scores(noise, HEADS, SPANS)["legacy_bone_psnr"]
    assert narrow == pytest.approx(-5.67, abs=0.7)
    assert wide > narrow + 5


def test_psnr_in_hu_and_correlation_do_not_depend_on_the_normalization() -> None:
    off = RNG.normal(0, 50, HEADS.ct_hu.shape)
    found = []
    for gain, offset in ((GAIN, OFFSET), (1 / 4000, 0.25), (1 / 300, -2.0)):
        other = replace(
            HEADS,
            ct=(HEADS.ct_hu * gain + offset).astype(np.float32),
            hu_gain=np.full(6, gain),
            hu_offset=np.full(6, offset),
        )
        fused = ((HEADS.ct_hu + off) * gain + offset).astype(np.float32)
        found.append(image_scores(fused, other, SPANS))
    for name in ("bone_psnr_hu", "bone_ncc"):
        assert [f[name] for f in found] == pytest.approx([found[0][name]] * 3, rel=1e-3)
    assert found[0]["bone_psnr_hu"] == pytest.approx(
        20 * math.log10(2000 / 50), abs=0.3
    )


def test_voxels_are_pooled_over_the_units_of_a_case() -> None:
    pairs = replace(HEADS, case=np.array(["a", "a", "b", "b", "c", "c"]))
    noise = baselines(HEADS)["noise"]
    hu = (noise - OFFSET) / GAIN
    expected = [
        psnr_hu(hu[at][HEADS.bone[at]], HEADS.ct_hu[at][HEADS.bone[at]])
        for at in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    found = image_scores(noise, pairs, SPANS)["bone_psnr_hu"]
    assert found == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_case_without_bone_is_left_out_and_none_at_all_is_nan() -> None:
    bone = HEADS.bone.copy()
    bone[0] = False
    noise = baselines(HEADS)["noise"]
    some = image_scores(noise, replace(HEADS, bone=bone), SPANS)
    assert math.isfinite(some["bone_psnr_hu"])
    none = image_scores(noise, replace(HEADS, bone=np.zeros_like(bone)), SPANS)
    for name in ("bone_psnr_hu", "bone_ncc", "legacy_bone_ssim", "bone_ssim"):
        assert math.isnan(none[name]), name
    assert math.isfinite(none["brain_ncc"])


@pytest.mark.parametrize(
    ("image", "reference", "expected"),
    [
        pytest.param([1, 2, 3], [10, 20, 30], 1.0, id="affine"),
        pytest.param([3, 2, 1], [10, 20, 30], -1.0, id="inverted"),
        pytest.param([2, 2, 2], [10, 20, 30], 0.0, id="constant-image"),
        pytest.param([1, 2, 3], [5, 5, 5], math.nan, id="constant-reference"),
        pytest.param([], [], math.nan, id="empty"),
    ],
)
def test_correlation(image: list, reference: list, expected: float) -> None:
    found = correlation(np.array(image, float), np.array(reference, float))
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_legacy_measures_are_the_incidents() -> None:
    a, b = RNG.normal(1, 1, 500), RNG.normal(1, 1, 500)
    assert legacy_ssim(a, 2 - a) == 0
    # It calls an image and its negative alike.
    assert legacy_ssim(a, -a) > 0.9
    assert legacy_ssim(a, a) == pytest.approx(1)
    both = ((a - a.mean()) * (b - b.mean())).mean()
    by_hand = (2 * a.mean() * b.mean() + 1e-4) * (2 * both + 9e-4)
    by_hand /= (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)
    assert legacy_ssim(a, b) == pytest.approx(max(by_hand, 0))
    # Noise of rms 1.28 against a maximum of 0.76 is the incident's -4.5 dB.
    noise = np.array([1.28, -1.28])
    assert legacy_psnr(noise, np.zeros(2), 0.76) == pytest.approx(-4.53, abs=0.01)
    assert legacy_psnr(noise, np.zeros(2), 3.0) == pytest.approx(7.4, abs=0.01)
    assert math.isnan(legacy_psnr(noise, np.zeros(2), -0.1))
    assert psnr_hu(noise, noise) == pytest.approx(126, abs=0.1)


def test_dice_is_no_number_where_both_are_empty() -> None:
    truth = np.zeros((4, 8, 8), bool)
    truth[1:3, 2:6, 2:6] = True
    called = np.zeros((4, 8, 8), np.float32)
    called[1, 2:6, 4:8] = 0.9
    called[3, 0, 0] = 0.9
    cases = replace(references(4, side=8), lesion=truth)
    found = lesion_scores(called, cases)
    # Nothing and nothing; half; missed; found where there is none.
    assert found["lesion_dice"] == pytest.approx((0.5 + 0 + 0) / 3)
    assert found["legacy_lesion_dice"] == pytest.approx(
        (1 + 17 / 33 + 1 / 17 + 1 / 2) / 4
    )
    assert found["lesion_both_empty"] == 0.25
    assert found["lesion_nonempty"] == 2
    assert found["lesion_identical"] == 0
    nothing = lesion_scores(0 * called, replace(cases, lesion=np.zeros_like(truth)))
    assert math.isnan(nothing["lesion_dice"])
    assert nothing["legacy_lesion_dice"] == 1
    assert lesion_scores(truth.astype(np.float32), cases)["lesion_identical"] == 1


@pytest.mark.parametrize(
    ("bounds", "share"),
    [
        pytest.param(None, 0.0, id="none"),
        pytest.param((-3.0, 5.0), 0.75, id="hard"),
        pytest.param((-9.0, 9.0), 0.0, id="far"),
    ],
)
def test_values_near_a_bound_count_as_at_it(
    bounds: tuple[float, float] | None, share: float
) -> None:
    fused = np.zeros(HEADS.mri.shape, np.float32)
    fused[:, :16], fused[:, 16:24] = -3.0, 4.95
    found = range_scores(fused, HEADS, bounds)
    assert found["at_bound"] == pytest.approx(share)
    assert (found["fused_low"], found["fused_high"]) == pytest.approx((-3.0, 4.95))
    assert found["ct_low"] == float(HEADS.ct.min())
    assert found["mri_high"] == float(HEADS.mri.max())


@pytest.mark.parametrize(
    "groups", ["aabbcc", "abcabc", "aabc", "abab", "aaabbbcd", "ab"]
)
def test_shuffling_gives_each_unit_another_patient(groups: str) -> None:
    names = np.array(list(groups))
    other = shuffled(names)
    assert other is not None
    assert sorted(other) == list(range(len(names)))
    assert (names != names[other]).all()


@pytest.mark.parametrize("groups", ["a", "aaa", "aab"])
def test_too_few_patients_can_not_be_shuffled(groups: str) -> None:
    assert shuffled(np.array(list(groups))) is None


def test_a_model_that_copies_loses_all_and_one_that_ignores_loses_nothing() -> None:
    other = shuffled(HEADS.case)
    assert other is not None
    plain = image_scores(region_copy(HEADS), HEADS, SPANS)
    wrong_ct = region_copy(replace(HEADS, ct=HEADS.ct[other]))
    wrong_mri = region_copy(replace(HEADS, mri=HEADS.mri[other]))
    found = drops(
        plain,
        image_scores(wrong_ct, HEADS, SPANS),
        image_scores(wrong_mri, HEADS, SPANS),
    )
    assert found["bone_ncc_drop"] > 0.5
    assert found["brain_ncc_drop"] > 0.3
    assert drops(plain, plain, plain) == {"bone_ncc_drop": 0, "brain_ncc_drop": 0}


def test_the_copy_alone_differs_in_nothing_from_the_copy() -> None:
    assert copy_difference(region_copy(HEADS), HEADS) == 0
    assert copy_difference(baselines(HEADS)["noise"], HEADS) > 0.5


def test_baselines_are_the_same_each_time() -> None:
    one, two = baselines(HEADS), baselines(HEADS)
    assert set(one) == {"mean", "max", "copy", "noise"}
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert one["noise"].std() == pytest.approx(1, abs=0.05)


def test_volumes_are_scored_like_slices() -> None:
    heads = references(2, side=16, depth=3)
    found = image_scores(region_copy(heads), heads, SPANS)
    assert found["bone_ssim"] == pytest.approx(1, abs=1e-4)
    assert found["brain_ncc"] == pytest.approx(1, abs=1e-6)


def test_means_leave_out_what_is_no_number() -> None:
    assert mean([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean([math.nan]))
    assert math.isnan(mean([]))


def test_a_span_leaves_out_the_ends() -> None:
    values = np.concatenate([np.linspace(0, 1, 10_000), [50.0, -50.0]])
    found = measured_span(values)
    assert (found.low, found.high) == pytest.approx((0.005, 0.995), abs=1e-3)
