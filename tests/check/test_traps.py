"""Every trap of the real sources is found, and clean sources raise no red finding."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.check import sources

from normgate.check import CheckSettings, check
from normgate.contract import Clip, Rescale
from normgate.contract.ct import fusion_spec, mri_case_z
from normgate.plates.measure import MeasureSettings, measure
from normgate.plates.schema import read_plate_csv
from normgate.volumes.cases import cases, read_case_csv
from normgate.volumes.statistics import measure as measure_cases

if TYPE_CHECKING:
    from normgate.check import Checked
    from normgate.contract import Spec

Make = Callable[[Path, Path], Path]
DICOM, PATIENTS = "ctmr/pydicom_testfiles", "ctmr/pyradiomics_testcases"
_HALO = (
    Clip(low=Decimal(1783), high=Decimal(11525)),
    Rescale(low=Decimal(1783), high=Decimal(11525)),
)


def templates(data: Path, folder: Path, **more: float) -> Path:
    home = data / sources.TEMPLATES
    flair = home / "GG-366-FLAIR-2.0mm-8mmFWHM.nii.gz"
    row = {"mri": flair, "ct": home / "scct.nii.gz", **more}
    return sources.case_table(folder, row)


def in_hu(data: Path, folder: Path) -> Path:
    return templates(data, folder, ct_slope=0.4021, ct_intercept=-1000.0)


def strangers(data: Path, folder: Path) -> Path:
    home = data / PATIENTS
    row = {"mri": home / "brain1_image.nrrd", "ct": home / "brain2_image.nrrd"}
    return sources.case_table(folder, row)


def padded_twin(data: Path, folder: Path) -> Path:
    """One MR in two byte orders, as two patients."""
    home = data / DICOM
    return sources.case_table(
        folder,
        {"mri": home / "MR_small.dcm", "ct": home / "CT_small.dcm"},
        {"mri": home / "MR_small_bigendian.dcm", "ct": home / "CT_small.dcm"},
    )


def mixed(data: Path, folder: Path) -> Path:
    """NIfTI and DICOM beside each other."""
    home, dicom = data / sources.TEMPLATES, data / DICOM
    return sources.case_table(
        folder,
        {"mri": home / "T2.nii.gz", "ct": home / "scct.nii.gz"},
        {"mri": dicom / "MR_small_padded.dcm", "ct": dicom / "CT_small.dcm"},
    )


def export(name: str) -> Make:
    return lambda data, folder: sources.imagexpress(data, folder, name)


TRAPS: dict[str, tuple[Make, dict[str, str]]] = {
    "nf1-8-bit-times-257-and-one-wt-well": (
        sources.nf1,
        {
            "data.DAPI.times-257": "yellow",
            "data.RFP.levels": "yellow",
            "design.groups": "red",
        },
    ),
    "projection-mix-one-dye": (
        export("Projection-Mix"),
        {
            "data.FITC_05.FITC_05-2.alike": "yellow",
            "data.FITC_05.FITC_05-3.alike": "yellow",
        },
    ),
    "imagexpress-copied-timepoint": (
        export("ImageXpress_exported/9987_Plate_3435"),
        {"data.repeated": "yellow"},
    ),
    "scanr-offset-32768": (
        sources.scanr,
        {"data.GFP.offset-32768": "yellow", "data.mcherry.offset-32768": "yellow"},
    ),
    "stardist-8-bit-range": (
        sources.stardist,
        {"data.nuclei.eight-bit-range": "yellow"},
    ),
    "template-ct-is-not-hu": (templates, {"data.CT.hu": "red"}),
    "different-patients": (strangers, {"data.pair": "red"}),
    "one-mr-in-two-byte-orders": (padded_twin, {"data.repeated": "red"}),
    "mixed-formats-and-bytes-beyond-the-pixels": (
        mixed,
        {
            "data.MRI.formats": "yellow",
            "data.CT.formats": "yellow",
            "data.excess": "yellow",
        },
    ),
}


def levels(found: Checked) -> dict[str, str]:
    return {one.name: one.level for one in found.findings}


@pytest.mark.parametrize(("make", "expected"), TRAPS.values(), ids=TRAPS.keys())
def test_a_trap_of_a_real_source_is_found(
    real_data: Path, tmp_path: Path, make: Make, expected: dict[str, str]
) -> None:
    found = check(make(real_data, tmp_path), None, CheckSettings())
    assert expected.items() <= levels(found).items()
    assert not found.quarantined


CLEAN = {
    "imagexpress-z-steps": export("ImageXpress_exported/9987_Plate_3434"),
    "imagexpress-timepoints": export("ImageXpress_exported/9987_Plate_3435"),
    "examplehuman-8-bit": sources.human,
}


@pytest.mark.parametrize("make", CLEAN.values(), ids=CLEAN.keys())
def test_a_clean_plate_with_a_spec_of_its_own_has_no_red_finding(
    real_data: Path, tmp_path: Path, make: Make
) -> None:
    table = make(real_data, tmp_path)
    spec = measured(table, tmp_path)
    found = check(table, spec, CheckSettings())
    assert found.of("red") == ()
    assert len(found.channels) == len(spec.channels)


def measured(table: Path, out: Path) -> Spec:
    return measure(read_plate_csv(table), table, out, MeasureSettings()).spec


@pytest.mark.parametrize(
    "make", [sources.scanr, sources.stardist, sources.human], ids=["+32768", "235", "8"]
)
def test_the_incidents_spec_on_other_bit_depths_is_red(
    real_data: Path, tmp_path: Path, make: Make
) -> None:
    table = make(real_data, tmp_path)
    own = measured(table, tmp_path)
    foreign = own.model_copy(
        update={
            "channels": tuple(
                c.model_copy(update={"input": "uint16", "steps": _HALO}) for c in
                own.channels
            )
        }
    )  # fmt: skip
    assert check(table, foreign, CheckSettings()).level == "red"


def test_the_template_in_hu_passes_with_statistics_of_its_own(
    real_data: Path, tmp_path: Path
) -> None:
    table = in_hu(real_data, tmp_path)
    case = cases(read_case_csv(table), table)
    ct = measure_cases(case, input_type="float32").ct_channel()
    found = check(table, fusion_spec(mri_case_z(), ct), CheckSettings())
    assert found.of("red") == ()
    assert levels(found)["norm.CT.roundtrip_db"] == "green"
