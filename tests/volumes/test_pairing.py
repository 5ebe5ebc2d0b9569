"""Pairs that do not belong together are refused before any training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from tests.volumes.files import write_nifti, write_series
from tests.volumes.heads import template_case, unmasked, write_cases

from normgate.errors import CorruptImage, DataError
from normgate.volumes.cases import Case
from normgate.volumes.masks import complete
from normgate.volumes.pairing import (
    Pair,
    check_pair,
    looks_like_hu,
    read_pair,
    suggested_rescale,
)
from normgate.volumes.phantom import PhantomSettings, phantom
from normgate.volumes.read import read_volume
from normgate.volumes.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

STACK = {"shape_zyx": (6, 48, 48)}


def moved(case: Case, folder: Path, *, mm: float, kind: str = "ct") -> Case:
    """The case with a volume whose affine lies so far aside."""
    volume = read_volume(getattr(case, kind))
    affine = volume.affine.copy()
    affine[0, 3] += mm
    path = write_nifti(folder / f"{kind}.nii", volume.array_zyx, affine=affine)
    return replace(case, **{kind: path})


def changed(case: Case, folder: Path, kind: str, array: np.ndarray) -> Case:
    """The case with other values in a volume."""
    affine = read_volume(case.mri).affine
    path = write_nifti(folder / f"{kind}.nii", array, affine=affine)
    return replace(case, **{kind: path})


def test_a_pair_is_the_phantom_that_was_written(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, **STACK)
    head = phantom(0, PhantomSettings(seed=0, **STACK))
    pair = check_pair(read_pair(case))
    assert np.array_equal(pair.ct.array_zyx, head.ct_zyx[::-1])
    assert np.array_equal(pair.mri.array_zyx, head.mri_zyx[::-1])
    assert np.array_equal(pair.brain_zyx, head.brain_zyx[::-1])
    assert np.array_equal(pair.bone_zyx, head.bone_zyx[::-1])
    assert np.array_equal(pair.lesion_zyx, head.lesion_zyx[::-1])
    assert pair.mri.spacing_mm == pytest.approx((5.0, 224 / 48, 224 / 48))
    assert pair.notes == ()


def test_a_dicom_ct_pairs_with_a_nifti_mri(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path / "demo", **STACK)
    ct, mri = read_volume(case.ct), read_volume(case.mri)
    write_series(tmp_path / "ct", ct.array_zyx, spacing=ct.spacing_mm)
    dicom = read_volume(tmp_path / "ct")
    path = write_nifti(tmp_path / "mri.nii", mri.array_zyx, affine=dicom.affine)
    pair = read_pair(replace(unmasked(case), ct=tmp_path / "ct", mri=path))
    assert np.array_equal(check_pair(pair).ct.array_zyx, ct.array_zyx)


def test_other_grids_are_refused_with_both_files(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path / "demo")
    (other,) = write_cases(tmp_path / "other", shape_zyx=(1, 48, 48))
    with pytest.raises(DataError, match=r"1x32x32 voxels and .*1x48x48") as refusal:
        read_pair(replace(case, ct=other.ct))
    assert str(case.mri) in str(refusal.value)
    assert str(other.ct) in str(refusal.value)
    for kind in ("ct", "lesion"):
        with pytest.raises(DataError, match=r"lie up to 3 mm apart, .* within 0\.5"):
            read_pair(moved(case, tmp_path, mm=3.0, kind=kind))
    assert read_pair(moved(case, tmp_path, mm=0.01))


def test_a_mirrored_geometry_is_another_place(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, **STACK)
    volume = read_volume(case.ct)
    affine = volume.affine.copy()
    affine[0, :] *= -1
    affine[0, 3] += 30
    path = write_nifti(tmp_path / "m.nii", volume.array_zyx, affine=affine)
    with pytest.raises(DataError, match="mm apart"):
        read_pair(replace(case, ct=path))


def test_heads_that_do_not_overlap_are_refused(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, **STACK)
    mri = np.zeros(STACK["shape_zyx"], np.int16)
    mri[:, :12, :12] = 500
    pair = read_pair(changed(case, tmp_path, "mri", mri))
    with pytest.raises(DataError, match=r"are misaligned: .* patient"):
        check_pair(pair)


def test_a_slight_misalignment_is_noted(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, misregister_mm=14.0)
    (note,) = check_pair(read_pair(case)).notes
    assert "of the smaller mask: MRI and CT may be misaligned" in note


FAULTS = [
    pytest.param(
        {"ct_scale_bug": True},
        r"is not in HU: its values run from 0 to 1\d\d, while air lies near -1000",
        id="eight-bits",
    ),
    pytest.param(
        {"skullstrip_zero_fill": True},
        "exactly 0, as where all but the brain was erased",
        id="stripped",
    ),
]


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_ct_that_is_not_in_hu_is_refused(
    tmp_path: Path, fault: dict[str, bool], said: str, masks: bool
) -> None:
    (case,) = write_cases(tmp_path, masks=masks, **fault)
    with pytest.raises(DataError, match=said):
        check_pair(read_pair(case))


@pytest.mark.parametrize(
    ("change", "rescale"),
    [
        pytest.param(lambda hu: hu + 1024, (1.0, -1024.0), id="raw"),
        pytest.param(lambda hu: (hu + 1000) / 4000, (4000.0, -1000.0), id="0-to-1"),
        pytest.param(lambda hu: hu / 1000, (1000.0, 0.0), id="thousandths"),
    ],
)
def test_a_declared_rescale_makes_hu_of_what_is_none(
    tmp_path: Path, change: object, rescale: tuple[float, float]
) -> None:
    (case,) = write_cases(tmp_path)
    hu = read_volume(case.ct).array_zyx.astype(np.float64)
    scaled = changed(case, tmp_path, "ct", change(hu).astype(np.float32))  # type: ignore[operator]
    with pytest.raises(DataError, match="declare ct_slope and ct_intercept"):
        check_pair(read_pair(scaled))
    mended = check_pair(read_pair(replace(scaled, ct_rescale=rescale)))
    np.testing.assert_allclose(mended.ct.array_zyx, hu, atol=1e-3)


def test_a_rescale_of_an_honest_ct_is_refused(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    twice = replace(case, ct_rescale=(1.0, -1024.0))
    with pytest.raises(DataError, match="not in HU after its declared rescale"):
        check_pair(read_pair(twice))
    small = replace(case, ct_rescale=(0.1, 0.0))
    with pytest.raises(DataError, match="after its declared rescale"):
        check_pair(read_pair(small))


def test_exchanged_columns_are_told(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    with pytest.raises(DataError, match="mri and ct may be exchanged"):
        check_pair(read_pair(replace(case, mri=case.ct, ct=case.mri)))


def test_a_mask_of_something_else_is_refused(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    with pytest.raises(DataError, match="the brain of case case-0001 has"):
        check_pair(read_pair(replace(case, brain=case.bone)))
    with pytest.raises(DataError, match="the bone of case case-0001 has a median of"):
        check_pair(read_pair(replace(case, bone=case.brain)))


def test_a_stripped_head_is_hu_where_its_masks_say_so(tmp_path: Path) -> None:
    """A field of view without air, its brain and bone given, is no reason to refuse."""
    (case,) = write_cases(tmp_path)
    hu = read_volume(case.ct).array_zyx
    cut = changed(case, tmp_path, "ct", np.maximum(hu, 0))
    assert check_pair(read_pair(cut)).notes == ()
    with pytest.raises(DataError, match="not in HU"):
        check_pair(read_pair(unmasked(cut)))


def test_hu_is_told_from_other_scales() -> None:
    head = phantom(0, PhantomSettings(seed=0, shape_zyx=(1, 64, 64)))
    hu = head.ct_zyx.astype(np.float32)
    assert looks_like_hu(hu)
    for other in (hu + 1000, hu / 1000, hu * 3, (hu - hu.mean()) / hu.std(), -hu):
        assert not looks_like_hu(other)
    assert not looks_like_hu(head.mri_zyx)


def test_a_rescale_is_suggested_from_air_and_the_middle_of_the_head() -> None:
    hu = phantom(0, PhantomSettings(seed=0, shape_zyx=(1, 64, 64))).ct_zyx
    assert suggested_rescale(hu.astype(np.float32) + 1024) == (1.0, -1024.0)
    slope, intercept = suggested_rescale(hu / 20.0 + 7) or (0, 0)
    assert slope == pytest.approx(20, rel=0.1)
    assert intercept == pytest.approx(-1000 - slope * (hu.min() / 20 + 7), rel=1e-3)
    assert suggested_rescale(np.ones(9)) is None


def test_bone_and_brain_are_derived_where_none_is_given(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, shape_zyx=(10, 64, 64), headrest=True)
    truth = read_pair(case)
    pair = complete(read_pair(unmasked(case)))
    assert dice(pair.bone_zyx, truth.bone_zyx) > 0.99
    assert dice(pair.brain_zyx, truth.brain_zyx) > 0.99
    assert pair.lesion_zyx is None
    assert [note.partition(":")[0] for note in pair.notes] == [
        "bone derived from the CT",
        "brain derived from the CT",
    ]
    assert complete(truth).notes == ()


def test_a_noisy_ct_of_fine_voxels_still_shows_its_brain() -> None:
    head = phantom(2, PhantomSettings(seed=0, shape_zyx=(1, 160, 160)))
    noise = np.random.default_rng(0).normal(0, 20, head.ct_zyx.shape)
    ct = (head.ct_zyx + noise).astype(np.float32)
    pair = complete(pair_of(ct, head.mri_zyx, head.spacing_mm))
    assert dice(pair.brain_zyx, head.brain_zyx) > 0.97


def test_scalp_is_no_brain() -> None:
    head = phantom(2, PhantomSettings(seed=0, shape_zyx=(1, 160, 160)))
    skull = head.brain_zyx | head.bone_zyx
    scalp = binary_dilation(skull, iterations=5) & ~skull
    ct = np.where(scalp, 45, head.ct_zyx).astype(np.int16)
    gap = ct.copy()
    gap[0, :, 78:82] = np.where(head.bone_zyx[0, :, 78:82], 40, ct[0, :, 78:82])
    for values in (ct, gap):
        pair = complete(pair_of(values, head.mri_zyx, head.spacing_mm))
        assert dice(pair.brain_zyx, head.brain_zyx) > 0.97


def test_an_empty_mask_is_refused_where_one_is_required(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    empty = np.zeros((1, 32, 32), np.uint8)
    pair = read_pair(changed(case, tmp_path, "bone", empty))
    with pytest.raises(DataError, match=r"bone\.nii holds an empty mask of the bone"):
        complete(pair)
    assert complete(pair, required=("brain",))
    air = pair_of(np.full((1, 32, 32), -1000, np.int16), empty, (5, 7, 7))
    with pytest.raises(DataError, match="has no mask of the brain, and none was found"):
        complete(air)


def test_a_missing_file_is_corrupt_and_named(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    case.ct.unlink()
    with pytest.raises(CorruptImage, match=r"ct\.nii\.gz .*missing"):
        read_pair(case)


def test_the_real_ct_template_is_refused_and_usable_once_declared(
    real_data: Path,
) -> None:
    case = template_case(real_data)
    with pytest.raises(DataError, match=r"run from 0 to 3794\.43.*0\.4021 and -1000"):
        check_pair(read_pair(case))
    pair = check_pair(read_pair(replace(case, ct_rescale=(0.4021, -1000.0))))
    pair = complete(pair)
    folder = case.ct.parent
    grey, white = (
        read_volume(folder / f"sc{name}.nii.gz").array_zyx for name in ("grey", "white")
    )
    assert dice(pair.brain_zyx, grey + white > 0.5) > 0.88
    assert np.median(pair.ct.array_zyx[pair.brain_zyx]) == pytest.approx(35, abs=3)


def test_two_real_patients_are_no_pair(real_data: Path) -> None:
    folder = real_data / "ctmr" / "pyradiomics_testcases"
    case = template_case(
        real_data,
        mri=folder / "brain1_image.nrrd",
        ct=folder / "brain2_image.nrrd",
    )
    with pytest.raises(DataError, match=r"25x256x256 voxels and .* 23x256x256"):
        read_pair(case)


def test_a_real_chest_ct_is_hu_and_has_no_brain(real_data: Path) -> None:
    path = real_data / "ctmr" / "pyradiomics_testcases" / "lung1_image.nrrd"
    volume = read_volume(path)
    assert looks_like_hu(volume.array_zyx)
    thin = volume.array_zyx[:, ::2, ::2]
    spacing = (5.0, 1.14, 1.14)
    with pytest.raises(DataError, match="no mask of the brain, and none was found"):
        complete(pair_of(thin, thin, spacing))


def pair_of(ct: np.ndarray, mri: np.ndarray, spacing: tuple[float, ...]) -> Pair:
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    names = {name: f"the-{name}" for name in ("patient", "case", "split_group")}
    case = Case(**names, mri="mri", ct="ct", brain=None, bone=None, lesion=None)  # type: ignore[arg-type]
    return Pair(
        case=case,
        mri=Volume(array_zyx=mri, affine=affine, path="mri"),
        ct=Volume(array_zyx=ct, affine=affine, path="ct"),
        brain_zyx=None,
        bone_zyx=None,
        lesion_zyx=None,
    )


def dice(one: np.ndarray | None, other: np.ndarray | None) -> float:
    assert one is not None
    assert other is not None
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
