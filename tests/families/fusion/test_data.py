"""Patches of heads: made once, found again, quarantined, audited, measured."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.families.fusion.simulated import loader, rows, spec

from normgate.contract import Provenance
from normgate.errors import DataError, SettingsError, SpecError
from normgate.families.fusion import data
from normgate.families.fusion.channels import condition_order
from normgate.families.fusion.data import prepare
from normgate.families.fusion.statistics import Constants, constants_of, refuse_leaks

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.families.fusion.data import FusionUnits

FOLD = np.arange(9) % 3
FOLDS = {"folds": 3, "replicates": 1}


def test_patches_are_the_loaders_own(heads: Path, head_units: FusionUnits) -> None:
    own = loader()
    first = own.load(rows(heads)[0])
    patches = own.patches(first)
    count = len(patches.boxes)
    assert len(head_units.cases) == 9 * count == 9 * 8
    assert np.array_equal(head_units.images[:count], patches.images)
    assert np.array_equal(head_units.masks[:count], patches.masks)
    hu = (head_units.images[:count, 1] - head_units.hu_offset[0]) / head_units.hu_gain[
        0
    ]
    inside = (head_units.hu[:count] > 1) & (head_units.hu[:count] < 1233)
    assert np.allclose(hu[inside], head_units.hu[:count][inside], atol=1e-3)


def test_a_prepared_folder_is_found_and_a_changed_file_makes_it_anew(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "heads"
    shutil.copytree(heads.parent, copy)
    cases = rows(copy / heads.name)
    first = prepare(loader(), cases, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(data, "_build", lambda *_: pytest.fail("made again"))
        assert prepare(loader(), cases, tmp_path / "cache").digest == first.digest
    shutil.copy(cases[1].ct, cases[0].ct)
    shutil.copy(cases[1].bone, cases[0].bone)
    assert prepare(loader(), cases, tmp_path / "cache").digest != first.digest


def test_a_corrupt_case_is_quarantined_and_the_rest_is_used(
    heads: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "ct.nii.gz"
    broken.write_bytes(b"no volume")
    first, *rest = rows(heads)[:4]
    units = prepare(loader(), [replace(first, ct=broken), *rest], tmp_path / "cache")
    assert set(units.cases) == {case.case for case in rest}
    (sentence,) = units.quarantined
    assert first.name in sentence
    assert str(broken) in sentence


def test_a_ct_between_0_and_1_is_refused_before_any_training(
    heads: Path, tmp_path: Path
) -> None:
    units = prepare(loader("fusion_legacy_minmax"), rows(heads), tmp_path)
    with pytest.raises(SpecError, match="a model ignores what weighs so little"):
        units.audit.refuse()


def test_a_case_without_a_lesion_file_is_unknown(heads: Path, tmp_path: Path) -> None:
    one, two = rows(heads)[:2]
    units = prepare(loader(), [replace(one, lesion=None), two], tmp_path)
    assert set(units.cases[units.lesion_known]) == {two.case}


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("fusion_mri_ct", ("MRI", "CT")),
        ("fusion_windows", ("MRI", "CT_bone", "CT_brain", "CT_subdural")),
    ],
)
def test_the_network_sees_mri_then_the_ct_that_shows_bone(
    name: str, order: tuple[str, ...]
) -> None:
    own = spec(name)
    assert tuple(own.names[index] for index in condition_order(own)) == order


def test_a_spec_without_mri_is_no_fusion() -> None:
    own = spec()
    alone = type(own)(channels=(own.channels[1],))
    with pytest.raises(SpecError, match="add a channel of MRI"):
        condition_order(alone)


def test_constants_are_measured_where_no_replicate_looks(heads: Path) -> None:
    cases = rows(heads)
    given = Constants(spec=spec(), provenance=None)
    found = constants_of(given, heads, cases, FOLD, **FOLDS)
    assert found.provenance is not None
    used = {case.case for case, number in zip(cases, FOLD, strict=True) if number == 2}
    assert set(found.provenance.cases) == used
    assert found.spec.names == given.spec.names
    assert found.spec != given.spec
    refuse_leaks(found, cases, FOLD, **FOLDS)
    with pytest.raises(DataError, match="replicate 2 holds out, the first case-"):
        refuse_leaks(found, cases, FOLD, folds=3, replicates=2)
    with pytest.raises(SettingsError, match="hold out every one of 3 folds"):
        constants_of(given, heads, cases, FOLD, folds=3, replicates=2)


def test_constants_of_other_cases_are_no_leak(heads: Path) -> None:
    elsewhere = Provenance(
        source="cases.csv",
        source_digest="0" * 64,
        estimator="exact histogram",
        cases=("other-1", "other-2"),
    )
    given = Constants(spec=spec(), provenance=elsewhere)
    refuse_leaks(given, rows(heads), FOLD, **FOLDS)


def test_windows_are_measured_by_no_one(heads: Path) -> None:
    given = Constants(spec=spec("fusion_windows"), provenance=None)
    with pytest.raises(SettingsError, match="which is for one CT channel"):
        constants_of(given, heads, rows(heads), FOLD, **FOLDS)
