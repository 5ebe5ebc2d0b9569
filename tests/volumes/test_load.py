"""From files to patches: whole cases normalized, exact types, quarantine, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.volumes.files import write_nifti
from tests.volumes.heads import template_case, unmasked, write_cases

from normgate.contract import (
    Arcsinh,
    Channel,
    Clip,
    Mask,
    RescaleSample,
    Spec,
    StandardizeSample,
)
from normgate.contract import ct as recipes
from normgate.errors import CorruptImage, DataError, SpecError
from normgate.volumes.geometry import Box, VolumeGeometry
from normgate.volumes.inverse import inverse
from normgate.volumes.load import Loader
from normgate.volumes.pairing import read_pair
from normgate.volumes.read import read_volume

if TYPE_CHECKING:
    from pathlib import Path

NNUNET = recipes.nnunet_ct(low=1, high=1231, mean=310, std=434)
SPEC = recipes.fusion_spec(recipes.mri_case_z(), NNUNET)
SLICES = VolumeGeometry(dims=2, patch=(32, 32))
STACK = {"shape_zyx": (5, 40, 40)}


def test_a_case_is_normalized_as_a_whole_and_then_cut(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, **STACK)
    loader = Loader(SPEC, SLICES)
    loaded = loader.load(case)
    mri = loaded.pair.mri.array_zyx.astype(np.float64)
    inside = mri[mri != 0]
    expected = (mri - inside.mean()) / inside.std()
    np.testing.assert_allclose(loaded.images_czyx[0], expected, rtol=1e-5, atol=1e-6)
    hu = np.clip(loaded.ct_zyx.astype(np.float64), 1, 1231)
    np.testing.assert_allclose(loaded.images_czyx[1], (hu - 310) / 434, atol=1e-6)
    cut = loader.patches(loaded)
    assert cut.images.shape == (5 * 4, 2, 32, 32)
    assert cut.masks.shape == (5 * 4, 3, 32, 32)
    assert cut.hu.shape == (5 * 4, 32, 32)
    for n, box in enumerate(cut.boxes):
        part = np.s_[box.z, box.y : box.y + 32, box.x : box.x + 32]
        assert np.array_equal(cut.images[n, 1], loaded.images_czyx[1][part])
        assert np.array_equal(cut.masks[n, 1], loaded.pair.bone_zyx[part])
        assert np.array_equal(cut.hu[n], loaded.ct_zyx[part])


def test_patches_larger_than_the_volume_are_filled_with_air(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    loader = Loader(SPEC, VolumeGeometry(dims=3, patch=(4, 40, 36)))
    loaded = loader.load(case)
    (image,), (hu,) = loader.patches(loaded).images, loader.patches(loaded).hu
    assert image.shape == (2, 4, 40, 36)
    assert np.array_equal(image[:, 1, 4:-4, 2:-2], loaded.images_czyx[:, 0])
    assert (image[0, 0] == loaded.images_czyx[0].min()).all()
    assert (hu[0] == loaded.ct_zyx.min()).all()
    assert not loader.patches(loaded).masks[0, :, 0].any()


def test_a_patch_of_any_place_can_be_cut(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, **STACK)
    loader = Loader(SPEC, VolumeGeometry(dims=3, patch=(2, 8, 8)))
    loaded = loader.load(case)
    (patch,) = loader.cut(loaded.images_czyx, [Box(0, 1, 3, 7)])
    assert np.array_equal(patch, loaded.images_czyx[:, 1:3, 3:11, 7:15])


def test_loading_is_the_same_every_time(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 3)
    loader = Loader(SPEC, SLICES)
    first, second = ([c.images_czyx for c in loader.each(cases, [])] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_several_windows_are_channels_of_one_ct(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    spec = recipes.fusion_spec(recipes.mri_case_z(), *recipes.windows())
    loader = Loader(spec, SLICES)
    assert loader.modalities == ("MRI", "CT", "CT", "CT")
    images = loader.load(case).images_czyx
    assert images.shape == (4, 1, 32, 32)
    assert np.abs(images[1:]).max() == 1


def test_a_lesion_that_nobody_drew_is_unknown_not_absent(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    loader = Loader(SPEC, SLICES)
    assert loader.load(case).lesion_known
    loaded = loader.load(unmasked(case))
    assert not loaded.lesion_known
    assert not loaded.masks_mzyx[2].any()
    assert loaded.masks_mzyx[:2].any(axis=(1, 2, 3)).all()


def test_types_are_widened_and_never_rounded(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    volume = read_volume(case.ct)
    halves = volume.array_zyx.astype(np.float32) + 0.5
    path = write_nifti(tmp_path / "half.nii", halves, affine=volume.affine)
    odd = replace(case, ct=path)
    with pytest.raises(DataError, match=r"half\.nii holds .*\.5, which int16 can't"):
        Loader(SPEC, SLICES).load(odd)
    wide = recipes.nnunet_ct(low=1, high=1231, mean=310, std=434, input_type="float32")
    spec = recipes.fusion_spec(recipes.mri_case_z(), wide)
    assert Loader(spec, SLICES).load(odd)
    same, other = (Loader(s, SLICES).load(case).images_czyx for s in (SPEC, spec))
    assert np.array_equal(same, other)


def test_a_channel_that_is_neither_mri_nor_ct_is_refused() -> None:
    pet = Channel(name="PET", input="float32", steps=())
    with pytest.raises(SpecError, match="channel 'PET' is neither MRI, CT"):
        Loader(Spec(channels=(pet,)), SLICES)


def test_a_blank_mri_is_refused_by_case(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    volume = read_volume(case.mri)
    loader = Loader(SPEC, SLICES)
    pair = loader.read(case)
    blank = replace(pair, mri=volume.with_array(np.zeros_like(volume.array_zyx)))
    with pytest.raises(DataError, match=r"case case-0001: channel 'MRI'.*no spread"):
        loader.normalized(blank)


def test_corrupt_cases_are_quarantined_and_most_of_them_stop(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 4)
    loader, told = Loader(SPEC, SLICES), []
    cases[1].ct.write_bytes(cases[1].ct.read_bytes()[:300])
    quarantined: list[str] = []
    loaded = list(loader.each(cases, quarantined, lambda *at: told.append(at)))
    assert [one.case.case for one in loaded] == ["case-0001", "case-0003", "case-0004"]
    (sentence,) = quarantined
    assert sentence.startswith("case case-0002: ")
    assert "ct.nii.gz can't be read as NIfTI" in sentence
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for case in cases[2:]:
        case.mri.unlink()
    with pytest.raises(DataError, match=r"3 of 4 cases can't be read; the first: case"):
        list(loader.each(cases, []))
    with pytest.raises(CorruptImage):
        loader.load(cases[1])


CHANNELS = {
    "nnunet": NNUNET,
    "minmax": recipes.legacy_minmax_ct(),
    "masked-z": recipes.legacy_masked_z_ct(),
    "bone-window": recipes.windows(["bone"])[0],
    "hu": recipes.hu_fixed(),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_hu_come_back_within_the_clip(tmp_path: Path, name: str) -> None:
    (case,) = write_cases(tmp_path)
    loader = Loader(recipes.fusion_spec(recipes.mri_case_z(), CHANNELS[name]), SLICES)
    loaded = loader.load(case)
    mri, undo = loader.inverses(loaded.pair)
    hu = loaded.ct_zyx
    kept = (hu >= undo.low) & (hu <= undo.high)
    assert kept.any()
    np.testing.assert_allclose(undo(loaded.images_czyx[1])[kept], hu[kept], atol=2e-3)
    assert undo.zero == pytest.approx(float(undo(np.zeros(1))[0]))
    back = mri(loaded.images_czyx[0])
    np.testing.assert_allclose(back, loaded.pair.mri.array_zyx, atol=1e-2)


def test_the_incidents_zero_is_another_hu_in_each_case(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 6)
    zeros = []
    for case in cases:
        hu = read_pair(case).ct.array_zyx
        own = np.clip(hu.astype(np.float64), -1000, 1000)
        undo = inverse(recipes.legacy_masked_z_ct(), hu)
        assert undo.zero == pytest.approx(own[own > -900].mean())
        assert 1 / undo.gain == pytest.approx(own[own > -900].std())
        zeros.append(undo.zero)
    assert max(zeros) - min(zeros) > 20


def sample_step(**changes: object) -> StandardizeSample:
    values: dict[str, object] = {
        "scope": "channel", "fit_mask": Mask(), "apply_mask": Mask(),
        "outside": "keep", "eps": 0, "eps_placement": "add", "degenerate": "zeros",
        "ddof": 0,
    }  # fmt: skip
    return StandardizeSample(**{**values, **changes})  # type: ignore[arg-type]


def test_percentiles_of_a_case_are_undone_too() -> None:
    shared = sample_step().model_dump(exclude={"kind", "ddof"})
    step = RescaleSample(
        **shared, low_percentile=1, high_percentile=99, method="linear", clip=False
    )
    channel = Channel(name="CT", input="int16", steps=(step,))
    hu = np.arange(-1000, 1001, dtype=np.int16)
    undo = inverse(channel, hu)
    assert undo(np.array([0.0, 1.0])) == pytest.approx([-980, 980])


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        pytest.param((Arcsinh(cofactor=5),), "no straight line", id="arcsinh"),
        pytest.param((sample_step(scope="image"),), "scope 'image'", id="image"),
    ],
)
def test_what_is_no_affine_can_not_be_undone(steps: tuple, said: str) -> None:
    channel = Channel(name="CT", input="int16", steps=(Clip(low=-5, high=5), *steps))
    with pytest.raises(SpecError, match=said):
        inverse(channel, np.arange(-9, 9, dtype=np.int16))


def test_the_real_templates_become_patches(real_data: Path) -> None:
    case = template_case(real_data, ct_rescale=(0.4021, -1000.0))
    wide = recipes.nnunet_ct(low=-50, high=500, mean=80, std=130, input_type="float32")
    spec = recipes.fusion_spec(recipes.mri_case_z(), wide)
    loader = Loader(spec, VolumeGeometry(dims=3, patch=(24, 96, 96)))
    loaded = loader.load(case)
    cut = loader.patches(loaded)
    assert cut.images.shape == (8, 2, 24, 96, 96)
    assert np.isfinite(cut.images).all()
    assert 1.2e6 < loaded.masks_mzyx[0].sum() * 8 < 1.8e6
    with pytest.raises(DataError, match="which int16 can't hold exactly"):
        Loader(SPEC, SLICES).load(case)
