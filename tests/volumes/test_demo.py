"""The demonstration writes real NIfTI files, resumes, and refuses strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from tests.volumes.heads import write_cases

from normgate.errors import DataError, SettingsError
from normgate.volumes.demo import DemoSettings, write_demo
from normgate.volumes.phantom import phantom
from normgate.volumes.read import read_mask

if TYPE_CHECKING:
    from pathlib import Path

SMALL = DemoSettings(cases=3)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    write_demo(tmp_path / "a", SMALL)
    write_demo(tmp_path / "b", SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    write_demo(tmp_path / "c", DemoSettings(cases=3, seed=1))
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_files_are_nifti_with_a_place_in_the_patient(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, shape_zyx=(4, 32, 32))
    image = nibabel.load(case.ct)
    assert image.get_data_dtype() == np.int16
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "I")
    np.testing.assert_allclose(image.header.get_zooms(), (7, 7, 5))
    middle = image.affine @ [15.5, 15.5, 1.5, 1]
    np.testing.assert_allclose(middle[:3], 0, atol=1e-4)
    head = phantom(0, DemoSettings(shape_zyx=(4, 32, 32)).phantoms)
    assert np.array_equal(np.asarray(image.dataobj).T, head.ct_zyx)


def test_a_broken_off_demo_goes_on_and_keeps_what_is_there(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        write_demo(tmp_path / "a", SMALL, kill)
    assert not (tmp_path / "a" / "cases.csv").exists()
    before = (tmp_path / "a" / "case-0001" / "ct.nii.gz").stat()
    (tmp_path / "a" / "case-0002" / "bone.nii.gz").unlink()
    write_demo(tmp_path / "a")
    assert (tmp_path / "a" / "case-0001" / "ct.nii.gz").stat() == before
    write_demo(tmp_path / "b", SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_without_masks_they_are_left_to_be_derived(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path, masks=False)
    assert (case.brain, case.bone) == (None, None)
    assert case.lesion is not None
    assert read_mask(case.lesion).array_zyx.dtype == np.bool_


def test_foreign_folders_and_other_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="holds no demo"):
        write_demo(tmp_path / "full", SMALL)
    write_demo(tmp_path / "a", SMALL)
    with pytest.raises(DataError, match="demo of other settings"):
        write_demo(tmp_path / "a", DemoSettings(cases=4))
    assert write_demo(tmp_path / "a") == tmp_path / "a" / "cases.csv"


def test_what_can_not_be_simulated_is_refused() -> None:
    with pytest.raises(SettingsError, match="cases is 0"):
        DemoSettings(cases=0)
    with pytest.raises(SettingsError, match="shape_zyx"):
        DemoSettings(shape_zyx=(0, 1, 1))
