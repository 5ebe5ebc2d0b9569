"""NIfTI and NRRD are read with every bit kept, and turned to one order of axes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import nibabel
import nrrd
import numpy as np
import pytest
from tests.volumes.files import LPS, write_nifti

from normgate.errors import CorruptImage, DataError
from normgate.volumes.nifti import read_format
from normgate.volumes.read import read_mask, read_volume
from normgate.volumes.volume import as_type

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
HU = RNG.integers(-1024, 3072, (3, 4, 5)).astype(np.int16)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_counts_come_back_whatever_the_byte_order(
    tmp_path: Path, endianness: str, suffix: str, version: int
) -> None:
    path = write_nifti(
        tmp_path / f"ct{suffix}", HU, endianness=endianness, version=version
    )
    volume = read_volume(path)
    assert volume.array_zyx.dtype == np.int16
    assert volume.array_zyx.dtype.isnative
    assert np.array_equal(volume.array_zyx, HU)
    assert volume.notes == ()
    found = read_format(path)
    assert (found.suffix, found.endianness, found.version) == (
        suffix,
        endianness,
        version,
    )


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "dtype"),
    [
        pytest.param(np.uint8, 14.5, 0.0, "float32", id="fractional-slope"),
        pytest.param(np.int16, 1.0, -1024.0, "int16", id="whole"),
        pytest.param(np.uint16, 1.0, -32768.0, "int16", id="unsigned"),
        pytest.param(np.uint16, 2.0, 0.0, "float32", id="beyond-int16"),
        pytest.param(np.float32, 0.1, 7.0, "float32", id="float"),
        pytest.param(np.float64, None, 0.0, "float32", id="double"),
        pytest.param(np.int32, None, 0.0, "int16", id="wide"),
    ],
)
def test_slope_and_intercept_are_applied_in_double_and_rounded_once(
    tmp_path: Path, stored: type, slope: float | None, intercept: float, dtype: str
) -> None:
    numbers = RNG.integers(0, 250, (2, 3, 4)).astype(stored)
    numbers[0, 0, 0] = 250 if stored == np.uint8 else 20000
    path = write_nifti(tmp_path / "a.nii", numbers, slope=slope, intercept=intercept)
    factor = 1.0 if slope is None else float(np.float32(slope))
    expected = numbers.astype(np.float64) * factor + intercept
    volume = read_volume(path)
    assert volume.array_zyx.dtype == dtype
    assert np.array_equal(volume.array_zyx, expected.astype(dtype))


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PSR", "ILA"])
def test_every_order_of_axes_is_turned_to_left_posterior_superior(
    tmp_path: Path, codes: str
) -> None:
    image = nibabel.Nifti1Image(HU.T, LPS)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(LPS), nibabel.orientations.axcodes2ornt(codes)
    )
    path = tmp_path / "turned.nii"
    image.as_reoriented(turn).to_filename(path)
    assert "".join(nibabel.aff2axcodes(nibabel.load(path).affine)) == codes
    volume = read_volume(path)
    assert np.array_equal(volume.array_zyx, HU)
    np.testing.assert_allclose(volume.affine, LPS, atol=1e-6)


def test_spacing_is_told_along_the_arrays_axes(tmp_path: Path) -> None:
    affine = np.diag([-0.5, -0.75, 5.0, 1])
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, affine=affine))
    assert volume.spacing_mm == (5.0, 0.75, 0.5)


def test_oblique_and_sheared_volumes_are_noted(tmp_path: Path) -> None:
    turned = nibabel.eulerangles.euler2mat(x=0.2)
    oblique, sheared = LPS.copy(), LPS.copy()
    oblique[:3, :3] = turned @ LPS[:3, :3]
    sheared[1, 2] = 0.3
    (note,) = read_volume(write_nifti(tmp_path / "o.nii", HU, affine=oblique)).notes
    assert note == "oblique by 11.5 degrees, stored as LPS"
    notes = read_volume(write_nifti(tmp_path / "s.nii", HU, affine=sheared)).notes
    assert "sheared by 16.7 degrees" in " ".join(notes)


def test_two_geometries_in_one_file_are_noted(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", HU, qform=1)
    image = nibabel.load(path)
    moved = LPS.copy()
    moved[0, 3] = 8
    image.set_sform(moved, 2)
    image.to_filename(tmp_path / "b.nii")
    volume = read_volume(tmp_path / "b.nii")
    assert volume.notes == ("sform and qform lie 8.0 mm apart; sform taken",)
    assert volume.affine[0, 3] == 8


def test_a_trailing_axis_of_one_is_no_axis(tmp_path: Path) -> None:
    nibabel.Nifti1Image(HU.T[..., None], LPS).to_filename(tmp_path / "a.nii")
    assert np.array_equal(read_volume(tmp_path / "a.nii").array_zyx, HU)


def with_nan() -> np.ndarray:
    values = HU.astype(np.float32)
    values[0, 0, :2] = np.nan, np.inf
    return values


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        pytest.param(HU, {"sform": 0}, "neither sform nor qform", id="no-geometry"),
        pytest.param(with_nan(), {}, "2 of 60 voxels are NaN", id="nan"),
        pytest.param(
            (HU.astype(np.int32) + (1 << 25)), {}, "float32 would round", id="large"
        ),
        pytest.param(HU.astype(np.complex64), {}, "complex64 voxels", id="complex"),
        pytest.param(HU[0], {}, "expected three axes", id="flat"),
    ],
)
def test_what_is_no_volume_of_real_numbers_is_refused_by_name(
    tmp_path: Path, values: np.ndarray, options: dict, said: str
) -> None:
    path = write_nifti(tmp_path / "bad.nii", values, **options)
    with pytest.raises(DataError, match=said) as refusal:
        read_volume(path)
    assert "bad.nii" in str(refusal.value)


def test_a_volume_with_time_is_refused(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.ones((4, 4, 4, 2), np.int16), LPS).to_filename(
        tmp_path / "t.nii"
    )
    with pytest.raises(DataError, match="without time, channels or colour"):
        read_volume(tmp_path / "t.nii")


@pytest.mark.parametrize(
    ("at", "data", "said"),
    [
        pytest.param(123, b"\x01", "in meter, expected mm", id="meter"),
        pytest.param(
            42,
            np.array([30000] * 3, "<i2").tobytes(),
            "at most 536870912 voxels",
            id="huge",
        ),
        pytest.param(280, bytes(16), "no geometry that maps voxels", id="flat"),
        pytest.param(280, np.array([np.nan], "<f4").tobytes(), "no geometry", id="nan"),
        pytest.param(
            116, np.array([np.inf], "<f4").tobytes(), "can't be read", id="infinite"
        ),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    tmp_path: Path, at: int, data: bytes, said: str
) -> None:
    path = write_nifti(tmp_path / "bad.nii", HU, slope=1.0)
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)
    with pytest.raises(DataError, match=said) as refusal:
        read_volume(path)
    assert "bad.nii" in str(refusal.value)


@pytest.mark.parametrize(
    "damage", ["missing", "cut", "cut-gz", "text", "empty"], ids=str
)
def test_a_damaged_file_is_corrupt_and_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / ("bad.nii.gz" if damage == "cut-gz" else "bad.nii")
    if damage != "missing":
        write_nifti(path, RNG.integers(0, 999, (9, 64, 64)).astype(np.int16))
        data = path.read_bytes()
        kept = {"text": b"no volume at all", "empty": b""}
        path.write_bytes(kept.get(damage, data[: len(data) // 2]))
    with pytest.raises(CorruptImage, match="restore the file") as refusal:
        read_volume(path)
    assert str(path) in str(refusal.value)


def test_a_gzip_with_a_broken_stream_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(b"x" * 400)[:-3])
    with pytest.raises(CorruptImage, match=r"a\.nii\.gz"):
        read_volume(path)


def test_labels_become_a_mask_and_probabilities_do_not(tmp_path: Path) -> None:
    labels = np.zeros((2, 3, 4), np.int16)
    labels[1, 1] = 3
    mask = read_mask(write_nifti(tmp_path / "l.nii", labels))
    assert mask.array_zyx.dtype == np.bool_
    assert mask.array_zyx.sum() == 4
    share = write_nifti(tmp_path / "p.nii", labels.astype(np.uint8), slope=0.2)
    with pytest.raises(DataError, match="threshold the probabilities"):
        read_mask(share)
    with pytest.raises(DataError, match="labels from 0"):
        read_mask(write_nifti(tmp_path / "n.nii", (-labels).astype(np.int16)))


def test_a_declared_rescale_keeps_whole_numbers_whole(tmp_path: Path) -> None:
    raw = write_nifti(tmp_path / "raw.nii", (HU.astype(np.int32) + 1024).astype("i2"))
    mended = read_volume(raw, (1.0, -1024.0))
    assert mended.array_zyx.dtype == np.int16
    assert np.array_equal(mended.array_zyx, HU)
    assert read_volume(raw, (0.1, 0.0)).array_zyx.dtype == np.float32
    with pytest.raises(DataError, match="no slope of 0"):
        read_volume(raw, (0.0, 1.0))


def test_the_files_scale_and_a_declared_one_are_rounded_once(tmp_path: Path) -> None:
    values = RNG.normal(0, 1e-4, HU.shape)
    path = write_nifti(tmp_path / "a.nii", values, slope=0.1, intercept=512.0)
    slope = float(np.float32(0.1))
    expected = ((values * slope + 512) * 3.7 - 1894.4).astype(np.float32)
    assert np.array_equal(read_volume(path, (3.7, -1894.4)).array_zyx, expected)


def test_a_type_is_changed_only_where_every_value_is_exact(tmp_path: Path) -> None:
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU))
    assert np.array_equal(as_type(volume, "float32", "CT"), HU)
    halves = volume.with_array(HU.astype(np.float32) / 2)
    with pytest.raises(DataError, match=r"a\.nii holds .*\.5, which int16"):
        as_type(halves, "int16", "CT")
    whole = volume.with_array(HU.astype(np.float32))
    assert as_type(whole, "int16", "CT").dtype == np.int16


def nrrd_header(**changes: object) -> dict[str, object]:
    return {
        "space": "left-posterior-superior",
        "space directions": np.diag([0.5, -0.75, 2.0]),
        "space origin": [1.0, 2.0, 3.0],
        "encoding": "gzip",
        **changes,
    }


def test_nrrd_is_turned_and_placed_as_nifti_is(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), HU.T, nrrd_header())
    volume = read_volume(tmp_path / "a.nrrd")
    assert np.array_equal(volume.array_zyx, HU[:, ::-1])
    assert volume.spacing_mm == (2.0, 0.75, 0.5)
    corner = volume.affine @ [0, HU.shape[1] - 1, 0, 1]
    np.testing.assert_allclose(corner[:3], [-1, -2, 3])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"space": "scanner-xyz"}, "space 'scanner-xyz'", id="space"),
        pytest.param({"space units": ["m", "m", "m"]}, r"\['m'\]", id="units"),
    ],
)
def test_an_nrrd_without_a_place_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), HU.T, nrrd_header(**changes))
    with pytest.raises(DataError, match=said):
        read_volume(tmp_path / "a.nrrd")


def test_a_damaged_nrrd_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), HU.T, nrrd_header())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptImage, match=r"a\.nrrd can't be read as NRRD"):
        read_volume(path)
    path.write_bytes(b"NRRD")
    with pytest.raises(CorruptImage, match=r"a\.nrrd"):
        read_volume(path)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "head.mha").write_bytes(b"ObjectType = Image")
    with pytest.raises(DataError, match="neither NIfTI, NRRD nor DICOM"):
        read_volume(tmp_path / "head.mha")
    with pytest.raises(CorruptImage, match="missing"):
        read_volume(tmp_path / "gone.mha")


REAL = {
    "clinical_toolbox_templates/scct.nii.gz": ((91, 109, 91), "float32", 3794.4343),
    "clinical_toolbox_templates/scct_stripped.nii.gz": ((91, 109, 91), "int16", 3055),
    "clinical_toolbox_templates/GG-366-FLAIR-2.0mm-8mmFWHM.nii.gz": (
        (91, 109, 91),
        "float32",
        200.95241,
    ),
    "clinical_toolbox_templates/T2.nii.gz": ((146, 175, 156), "int16", 254),
    "pyradiomics_testcases/brain1_image.nrrd": ((25, 256, 256), "int16", 3057),
    "pyradiomics_testcases/lung1_image.nrrd": ((48, 512, 512), "int16", 3071),
}


@pytest.mark.parametrize("name", REAL)
def test_real_volumes_are_read(real_data: Path, name: str) -> None:
    shape, dtype, high = REAL[name]
    volume = read_volume(real_data / "ctmr" / name)
    assert volume.array_zyx.shape == shape
    assert volume.array_zyx.dtype == dtype
    assert volume.array_zyx.max() == pytest.approx(high)


def test_the_real_big_endian_tissue_map_is_scaled_and_is_no_mask(
    real_data: Path,
) -> None:
    path = real_data / "ctmr" / "clinical_toolbox_templates" / "sccsf.nii.gz"
    assert read_volume(path).array_zyx.max() == pytest.approx(1.0)
    with pytest.raises(DataError, match="threshold"):
        read_mask(path)


def test_a_real_lesion_lies_on_its_mri_grid(real_data: Path) -> None:
    folder = real_data / "ctmr" / "clinical_toolbox_templates"
    mri, lesion = (
        read_volume(folder / "T2.nii.gz"),
        read_mask(folder / "lesionT2.nii.gz"),
    )
    assert lesion.array_zyx.shape == mri.array_zyx.shape
    millilitres = lesion.array_zyx.sum() * np.prod(mri.spacing_mm) / 1000
    assert millilitres == pytest.approx(37.9, abs=0.1)
    inside = mri.array_zyx[lesion.array_zyx].mean()
    assert inside > 1.3 * mri.array_zyx[mri.array_zyx > 50].mean()
