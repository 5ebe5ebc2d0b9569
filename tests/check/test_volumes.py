"""Case tables with faults of the phantoms, through real files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from normgate.check import CheckSettings, check
from normgate.contract import Provenance, read_spec
from normgate.volumes.demo import DemoSettings, write_demo

if TYPE_CHECKING:
    from normgate.check import Checked

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"
BEST, ONE = "fusion_mri_ct", CheckSettings(workers=1)


def checked(folder: Path, spec: str = BEST, **faults: bool | float) -> Checked:
    table = write_demo(folder, DemoSettings(cases=6, **faults))
    return check(table, read_spec(SPECS / f"{spec}.json"), ONE)


def levels(found: Checked) -> dict[str, str]:
    return {one.name: one.level for one in found.findings if one.level != "green"}


def test_good_cases_under_a_good_spec_are_green(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert levels(found) == {}
    assert found.looked_at == "6 of 6 cases read, 6 without a fault"
    assert [view.name for view in found.channels] == ["MRI", "CT"]
    assert all(view.after is not None for view in found.channels)


@dataclass(frozen=True)
class Fault:
    spec: str
    faults: dict[str, bool | float]
    finding: str
    level: str


FAULTS = {
    "ct-through-8-bits": Fault(BEST, {"ct_scale_bug": True}, "data.CT.hu", "red"),
    "skull-stripped": Fault(BEST, {"skullstrip_zero_fill": True}, "data.CT.hu", "red"),
    "the-incidents-0..1": Fault("fusion_legacy_minmax", {}, "norm.power_ratio", "red"),
    "the-incidents-window": Fault(
        "fusion_legacy_window", {}, "norm.CT.roundtrip_db", "red"
    ),
    "the-incidents-z": Fault(
        "fusion_legacy_masked_z", {"headrest": True}, "norm.CT.zero_spread", "yellow"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(tmp_path: Path, fault: Fault) -> None:
    found = checked(tmp_path, fault.spec, **fault.faults)
    assert levels(found)[fault.finding] == fault.level


def test_a_missing_file_is_quarantined_and_the_rest_is_judged(tmp_path: Path) -> None:
    table = write_demo(tmp_path, DemoSettings(cases=3))
    next(table.parent.rglob("ct.nii.gz")).unlink()
    found = check(table, read_spec(SPECS / f"{BEST}.json"), ONE)
    assert len(found.quarantined) == 1
    assert found.looked_at == "2 of 3 cases read, 2 without a fault"
    assert levels(found) == {}


def test_constants_that_saw_a_case_for_testing_are_red(tmp_path: Path) -> None:
    table = write_demo(tmp_path, DemoSettings(cases=3))
    origin = Provenance(
        source=table.name,
        source_digest="0" * 64,
        estimator="exact histogram",
        cases=("case-0001", "case-0003"),
    )
    training = CheckSettings(training=frozenset({"case-0001", "case-0002"}))
    spec = read_spec(SPECS / f"{BEST}.json")
    found = check(table, spec, training, provenance=origin)
    assert levels(found) == {"design.fitted_on": "red"}
    assert "case-0003" in found.of("red")[0].sentence
