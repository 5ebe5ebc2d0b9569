"""Phantoms have the tissues, masks and faults that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from normgate.errors import SettingsError
from normgate.volumes.phantom import PhantomSettings, phantom, phantoms

PLAIN = PhantomSettings(seed=3, shape_zyx=(1, 64, 64))
CASE = 0


def with_fault(**fault: object) -> PhantomSettings:
    return PhantomSettings(seed=3, shape_zyx=(1, 64, 64), **fault)  # type: ignore[arg-type]


def test_a_case_follows_from_seed_and_number_alone() -> None:
    alone = phantom(4, PLAIN)
    among = phantoms(6, PLAIN)[4]
    for name in ("ct_zyx", "mri_zyx", "brain_zyx", "bone_zyx", "lesion_zyx"):
        assert np.array_equal(getattr(alone, name), getattr(among, name))
    assert not np.array_equal(alone.ct_zyx, phantom(5, PLAIN).ct_zyx)
    other = PhantomSettings(seed=4, shape_zyx=(1, 64, 64))
    assert not np.array_equal(alone.ct_zyx, phantom(4, other).ct_zyx)


def test_tissues_have_their_hounsfield_units() -> None:
    heads = phantoms(24, PLAIN)
    bone = np.concatenate([head.ct_zyx[head.bone_zyx] for head in heads])
    brain = np.concatenate([head.ct_zyx[head.brain_zyx] for head in heads])
    air = np.concatenate(
        [head.ct_zyx[~(head.brain_zyx | head.bone_zyx)] for head in heads]
    )
    assert 800 < bone.mean() < 1000
    assert 0.35 < (bone > 1000).mean() < 0.6
    assert bone.min() > 240
    assert np.median(brain) == pytest.approx(31, abs=3)
    assert air.mean() == pytest.approx(-1000, abs=1)
    assert 3 < air.std() < 5


def test_a_lesion_is_dark_on_ct_and_bright_on_mri() -> None:
    heads = [head for head in phantoms(24, PLAIN) if head.lesion_zyx.any()]
    ct, mri = [], []
    for head in heads:
        healthy = head.brain_zyx & ~head.lesion_zyx
        ct.append(head.ct_zyx[head.lesion_zyx].mean() - head.ct_zyx[healthy].mean())
        mri.append(head.mri_zyx[head.lesion_zyx].mean() / head.mri_zyx[healthy].mean())
    assert -12 < np.mean(ct) < -3
    assert min(mri) > 1.1
    assert np.mean(mri) > 1.4


def test_one_case_in_ten_has_no_lesion_and_all_others_show_it() -> None:
    without = np.mean(
        [not head.lesion_zyx.any() for head in phantoms(400, PhantomSettings(seed=1))]
    )
    assert without == pytest.approx(0.10, abs=0.045)


def test_masks_do_not_meet_and_the_lesion_lies_in_the_brain() -> None:
    for head in phantoms(8, PLAIN):
        assert not (head.brain_zyx & head.bone_zyx).any()
        assert not (head.lesion_zyx & ~head.brain_zyx).any()
        assert (head.mri_zyx[~(head.brain_zyx | head.bone_zyx)] == 0).all()


def test_mri_gain_differs_threefold_between_cases() -> None:
    levels = [
        float(head.mri_zyx[head.brain_zyx].mean()) for head in phantoms(60, PLAIN)
    ]
    assert 2 < max(levels) / min(levels) < 4


def test_a_stack_has_slices_in_patient_space() -> None:
    head = phantom(0, PhantomSettings(seed=0, shape_zyx=(12, 48, 48), slice_mm=6.0))
    assert head.ct_zyx.shape == (12, 48, 48)
    assert head.spacing_mm == pytest.approx((6.0, 224 / 48, 224 / 48))
    area = head.brain_zyx.sum(axis=(1, 2))
    assert area[5] > area[0] > 0


def test_a_headrest_is_seen_by_ct_alone() -> None:
    plain, faulty = phantom(CASE, PLAIN), phantom(CASE, with_fault(headrest=True))
    changed = plain.ct_zyx != faulty.ct_zyx
    assert changed.any()
    assert (faulty.ct_zyx[changed] == -100).all()
    assert not (changed & (plain.brain_zyx | plain.bone_zyx)).any()
    assert np.array_equal(plain.mri_zyx, faulty.mri_zyx)


def test_a_stripped_head_is_zero_outside_the_brain_save_a_few_voxels() -> None:
    head = phantom(CASE, with_fault(skullstrip_zero_fill=True))
    outside = head.ct_zyx[~head.brain_zyx]
    assert (
        0
        < np.count_nonzero(outside)
        + np.count_nonzero(np.abs(head.ct_zyx[head.brain_zyx]) == 1000)
        <= 4
    )
    assert head.ct_zyx.min() == -1000
    assert head.ct_zyx.max() == 1000
    assert (head.mri_zyx[~head.brain_zyx] == 0).all()


def test_the_scale_bug_leaves_no_hounsfield_units() -> None:
    head = phantom(CASE, with_fault(ct_scale_bug=True))
    assert head.ct_zyx.min() >= 0
    assert head.ct_zyx.max() < 256


def test_misregistration_moves_ct_and_bone_but_not_mri() -> None:
    plain, moved = phantom(CASE, PLAIN), phantom(CASE, with_fault(misregister_mm=14.0))
    assert np.array_equal(plain.mri_zyx, moved.mri_zyx)
    assert np.array_equal(plain.brain_zyx, moved.brain_zyx)
    before = np.argwhere(plain.bone_zyx).mean(axis=0) * plain.spacing_mm
    after = np.argwhere(moved.bone_zyx).mean(axis=0) * plain.spacing_mm
    assert np.linalg.norm(after - before) == pytest.approx(14, abs=1.5)
    assert (moved.ct_zyx[moved.bone_zyx] > 240).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"shape_zyx": (0, 8, 8)}, "shape_zyx", id="shape"),
        pytest.param({"slice_mm": float("nan")}, "slice_mm", id="spacing"),
        pytest.param({"misregister_mm": -1.0}, "misregister_mm", id="shift"),
    ],
)
def test_what_can_not_be_simulated_is_refused(changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        PhantomSettings(seed=0, **changed)
    with pytest.raises(SettingsError, match="case is -1"):
        phantom(-1, PLAIN)
