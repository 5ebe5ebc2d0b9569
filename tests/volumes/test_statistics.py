"""Foreground statistics are exact, of training cases alone, and say whose they are."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.volumes.heads import write_cases

from normgate.contract import (
    Clip,
    Standardize,
    parse_provenance,
    read_spec,
    to_json,
)
from normgate.errors import DataError
from normgate.volumes.pairing import read_pair
from normgate.volumes.phantom import PhantomSettings, phantoms
from normgate.volumes.statistics import Tally, foreground, leaked, measure

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"


def voxels(cases: list, kind: str) -> np.ndarray:
    found = []
    for case in cases:
        pair = read_pair(case)
        volume = pair.ct if kind == "CT" else pair.mri
        found.append(volume.array_zyx[pair.brain_zyx | pair.bone_zyx])
    return np.concatenate(found)


@pytest.mark.parametrize("kind", ["CT", "MRI"])
@pytest.mark.parametrize("input_type", ["int16", "float32"])
def test_figures_are_those_of_all_foreground_voxels_together(
    tmp_path: Path, kind: str, input_type: str
) -> None:
    cases = write_cases(tmp_path, 5)
    found = measure(cases[:4], modality=kind, input_type=input_type)  # type: ignore[arg-type]
    together = voxels(cases[:4], kind)
    low, high = np.percentile(together, [0.5, 99.5])
    assert (found.low, found.high) == (low, high)
    assert found.mean == pytest.approx(together.mean(dtype=np.float64), rel=1e-14)
    assert found.std == pytest.approx(together.std(dtype=np.float64), rel=1e-12)
    assert found.voxels == together.size
    assert found.cases == tuple(f"case-000{i}" for i in range(1, 5))


def test_the_channel_has_the_figures_as_constants(tmp_path: Path) -> None:
    found = measure(write_cases(tmp_path, 3))
    clip, standardize = found.ct_channel().steps
    assert isinstance(clip, Clip)
    assert isinstance(standardize, Standardize)
    assert (float(clip.low), float(clip.high)) == (found.low, found.high)
    assert (float(standardize.mean), float(standardize.std)) == (found.mean, found.std)
    rounded = found.ct_channel(decimals=1).steps[1]
    assert rounded == Standardize(
        mean=Decimal(str(round(found.mean, 1))), std=Decimal(str(round(found.std, 1)))
    )
    assert found.mri_channel("ADC_MRI").steps == (standardize,)


def test_provenance_names_every_case_and_tells_a_leak(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 4)
    found = measure(cases[:3])
    made = found.provenance(tmp_path / "cases.csv")
    assert made.cases == ("case-0001", "case-0002", "case-0003")
    assert made.channels[0].pixels == found.voxels
    assert parse_provenance(to_json(made)) == made
    assert json.loads(to_json(made))["restriction"].endswith("of 3 training cases")
    assert leaked(made, ["case-0001", "case-0002", "case-0003", "case-0004"]) == ()
    assert leaked(made, ["case-0001", "case-0003"]) == ("case-0002",)


def test_tallies_merge_to_the_same_whatever_the_order(tmp_path: Path) -> None:
    pairs = [read_pair(case) for case in write_cases(tmp_path, 4)]
    for input_type in ("int16", "float32"):
        whole, one, two = (Tally(input_type) for _ in range(3))  # type: ignore[arg-type]
        for at, pair in enumerate(pairs):
            values = pair.ct.array_zyx.astype(input_type)
            whole.add(pair.case.case, values, foreground(pair))
            (one if at % 2 else two).add(pair.case.case, values, foreground(pair))
        one.merge(two)
        assert one.counts.to_bytes() == whole.counts.to_bytes()
        assert set(one.cases) == set(whole.cases)
        with pytest.raises(DataError, match=r"case case-000\d is counted twice"):
            one.merge(two)
    with pytest.raises(DataError, match="can't merge float32 with int16"):
        one.merge(Tally("int16"))
    with pytest.raises(DataError, match="counted twice"):
        one.add("case-0001", values, foreground(pairs[0]))


def test_corrupt_cases_do_not_count_and_most_of_them_stop(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 3)
    cases[1].mri.write_bytes(b"")
    for input_type in ("int16", "float32"):
        found = measure(cases, input_type=input_type)  # type: ignore[arg-type]
        assert found.cases == ("case-0001", "case-0003")
        assert "mri.nii.gz" in found.quarantined[0]
    made = found.provenance(tmp_path / "cases.csv")
    assert made.quarantined == found.quarantined
    cases[0].mri.unlink()
    with pytest.raises(DataError, match="2 of 3 training cases can't be read"):
        measure(cases)
    with pytest.raises(DataError, match="there is no case"):
        measure([])


def test_a_lesion_outside_the_brain_mask_is_foreground_too(tmp_path: Path) -> None:
    (case,) = write_cases(tmp_path)
    pair = read_pair(case)
    outside = np.zeros(pair.shape_zyx, dtype=bool)
    outside[0, 0, 0] = True
    assert foreground(replace(pair, lesion_zyx=outside))[0, 0, 0]
    assert not foreground(replace(pair, lesion_zyx=None))[0, 0, 0]


def test_the_shipped_constants_are_those_of_the_phantoms_they_name() -> None:
    tally = Tally("int16")
    for at, head in enumerate(phantoms(200, PhantomSettings(seed=1))):
        tally.add(str(at), head.ct_zyx, head.brain_zyx | head.bone_zyx)
    low, high = tally.counts.percentile([0.5, 99.5])
    shipped = read_spec(SPECS / "fusion_mri_ct.json").channels[1]
    assert shipped.steps == (
        Clip(low=low, high=high),
        Standardize(mean=round(tally.counts.mean), std=round(tally.counts.std())),
    )
    assert tally.counts.total == 88_181
