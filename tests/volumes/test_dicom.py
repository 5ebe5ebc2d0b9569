"""A DICOM series is one whole stack, in order of place, in HU; else it is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from tests.volumes.files import change, write_series

from normgate.errors import CorruptImage, DataError
from normgate.volumes.read import read_volume

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(1)
HU = RNG.integers(-1024, 3072, (6, 7, 8)).astype(np.int16)


def test_slices_are_ordered_by_place_and_rescaled_to_hu(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    volume = read_volume(tmp_path / "ct")
    assert volume.array_zyx.dtype == np.int16
    assert np.array_equal(volume.array_zyx, HU)
    assert volume.spacing_mm == (2.0, 0.5, 0.75)
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [10, 20, 5, 1])
    assert volume.notes == ()


def test_raw_numbers_and_hu_differ_by_exactly_1024(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU)
    write_series(tmp_path / "raw", HU)
    for path in (tmp_path / "raw").iterdir():
        change(path, RescaleIntercept=None)
    raw = read_volume(tmp_path / "raw")
    apart = raw.array_zyx.astype(int) - read_volume(tmp_path / "ct").array_zyx
    assert set(apart.ravel()) == {1024}
    assert raw.notes == ("no RescaleIntercept: its numbers may not be HU",)


def test_a_fractional_slope_gives_float32(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, slope=0.5, intercept=-1024)
    assert np.array_equal(read_volume(tmp_path / "ct").array_zyx, HU)
    assert read_volume(tmp_path / "ct").array_zyx.dtype == np.float32


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    change(paths[2], RescaleIntercept=-1000)
    found = read_volume(tmp_path / "ct").array_zyx
    assert np.array_equal(found[2], HU[2] + 24)
    assert np.array_equal(found[3], HU[3])


def test_padding_is_air_in_ct_and_the_lowest_value_elsewhere(tmp_path: Path) -> None:
    padded = np.maximum(HU, -900)
    padded[:, 0] = -3024
    write_series(tmp_path / "ct", padded, PixelPaddingValue=-2000)
    volume = read_volume(tmp_path / "ct")
    assert (volume.array_zyx[:, 0] == -1024).all()
    assert np.array_equal(volume.array_zyx[:, 1:], padded[:, 1:])
    assert volume.notes == ("48 padded voxels",)
    write_series(tmp_path / "mr", padded, PixelPaddingValue=-2000, Modality="MR")
    found = read_volume(tmp_path / "mr").array_zyx
    assert (found[:, 0] == padded[:, 1:].min()).all()


def test_bytes_beyond_the_pixels_are_told_and_not_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    for path, more in ((paths[1], 64), (paths[4], 2)):
        data = pydicom.dcmread(path)
        data.PixelData += bytes(more)
        data.save_as(path)
    volume = read_volume(tmp_path / "ct")
    assert np.array_equal(volume.array_zyx, HU)
    assert volume.notes == ("66 bytes beyond the last pixel, not read",)


def test_a_range_of_padding_values_counts_whole(tmp_path: Path) -> None:
    padded = np.maximum(HU, -900)
    padded[0, 0, :3] = -3024, -3030, -3040
    tags = {"PixelPaddingValue": -2016, "PixelPaddingRangeLimit": -2000}
    write_series(tmp_path / "ct", padded, **tags)
    assert (read_volume(tmp_path / "ct").array_zyx[0, 0, :3] == -1024).all()


def test_a_series_that_was_scanned_from_the_feet_is_turned(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", HU, ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    assert np.array_equal(read_volume(tmp_path / "ct").array_zyx, HU[:, ::-1, ::-1])


def test_a_sagittal_series_is_turned_to_axial_slices(tmp_path: Path) -> None:
    paths = write_series(
        tmp_path / "ct", HU, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]
    )
    for z, path in enumerate(paths):
        change(path, ImagePositionPatient=[3.0 + 2 * z, 0, 0])
    found = read_volume(tmp_path / "ct")
    assert np.array_equal(found.array_zyx, HU.transpose(1, 2, 0)[::-1])
    assert found.spacing_mm == (0.5, 0.75, 2.0)


def test_a_tilted_gantry_is_noted(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    for z, path in enumerate(paths):
        change(path, ImagePositionPatient=[0, 0.5 * z, 2.0 * z])
    (note, *_) = read_volume(tmp_path / "ct").notes
    notes = " ".join(read_volume(tmp_path / "ct").notes)
    assert "sheared by 14.0 degrees, as by a tilted gantry" in notes
    assert note


def test_one_file_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", HU[:1])
    volume = read_volume(path)
    assert volume.array_zyx.shape == (1, 7, 8)
    assert volume.spacing_mm == (2.0, 0.5, 0.75)
    change(path, SliceThickness=None)
    with pytest.raises(DataError, match="tells no SliceThickness"):
        read_volume(path)


def gap(folder: Path, paths: list[Path]) -> None:
    paths[3].unlink()


def copy(folder: Path, paths: list[Path]) -> None:
    shutil.copy(paths[3], folder / "copy.dcm")


def other_series(folder: Path, paths: list[Path]) -> None:
    change(paths[3], SeriesInstanceUID="1.2.3")


def localizer(folder: Path, paths: list[Path]) -> None:
    change(paths[3], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])


def other_size(folder: Path, paths: list[Path]) -> None:
    change(paths[3], PixelSpacing=[0.5, 0.8])


def lossy(folder: Path, paths: list[Path]) -> None:
    change(paths[3], LossyImageCompression="01")


def no_place(folder: Path, paths: list[Path]) -> None:
    change(paths[3], ImagePositionPatient=None)


def inverted(folder: Path, paths: list[Path]) -> None:
    change(paths[3], PhotometricInterpretation="MONOCHROME1")


def frames(folder: Path, paths: list[Path]) -> None:
    change(paths[3], NumberOfFrames=2)


FAULTS = [
    (gap, "lie 4.000 mm apart and other slices 2.000 mm; a slice is missing"),
    (copy, "lie at one place; leave out the copy"),
    (other_series, "files of 2 series"),
    (localizer, "ImageOrientationPatient is .* leave out localizers"),
    (other_size, r"PixelSpacing is \[0.5, 0.75\] in"),
    (lossy, "compressed with loss"),
    (no_place, "has no ImagePositionPatient"),
    (inverted, "expected 1 as MONOCHROME2"),
    (frames, "holds 2 frames; convert"),
]


@pytest.mark.parametrize(
    ("fault", "said"), FAULTS, ids=lambda f: getattr(f, "__name__", "")
)
def test_what_is_not_one_whole_stack_is_refused(
    tmp_path: Path, fault: Any, said: str
) -> None:
    paths = write_series(tmp_path / "ct", HU)
    fault(tmp_path / "ct", paths)
    with pytest.raises(DataError, match=said):
        read_volume(tmp_path / "ct")


def test_a_damaged_slice_is_corrupt_and_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", HU)
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    with pytest.raises(CorruptImage, match=f"{paths[2].name} can't be read as DICOM"):
        read_volume(tmp_path / "ct")
    paths[2].write_bytes(b"no DICOM")
    with pytest.raises(CorruptImage, match=paths[2].name):
        read_volume(tmp_path / "ct")


def test_files_beside_a_series_are_noted_and_an_empty_folder_refused(
    tmp_path: Path,
) -> None:
    write_series(tmp_path / "ct", HU)
    (tmp_path / "ct" / "LICENSE").write_text("free")
    assert read_volume(tmp_path / "ct").notes == ("1 other files beside the series",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no DICOM file"):
        read_volume(tmp_path / "empty")


def test_nothing_but_padding_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", np.full_like(HU, -1024), PixelPaddingValue=0)
    with pytest.raises(DataError, match="nothing but padding"):
        read_volume(tmp_path / "ct")


def test_real_dicom_is_read_in_hu_and_in_any_byte_order(real_data: Path) -> None:
    folder = real_data / "ctmr" / "pydicom_testfiles"
    scan = read_volume(folder / "CT_small.dcm")
    assert (scan.array_zyx.min(), scan.array_zyx.max()) == (-896, 1167)
    assert scan.array_zyx.dtype == np.int16
    little = read_volume(folder / "MR_small.dcm").array_zyx
    for name in ("MR_small_bigendian.dcm", "MR_small_padded.dcm"):
        assert np.array_equal(read_volume(folder / name).array_zyx, little)
    with pytest.raises(DataError, match="files of 2 series"):
        read_volume(folder)
