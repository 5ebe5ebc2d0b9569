"""ImageXpress exports: channels by metadata, one Z a picture, measured timepoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from normgate.errors import DataError, SettingsError
from normgate.plates.imagexpress import find_pictures
from normgate.plates.index import IndexSettings, index
from normgate.plates.schema import markers

if TYPE_CHECKING:
    from pathlib import Path


def export(path: Path, light: str, second: float, method: str = "") -> None:
    """Write one file as the instrument would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (
        '<MetaData><prop id="ApplicationName" type="string" value="MetaMorph"/>'
        f'<prop id="image-name" type="string" value="Copy of {light}"/>'
        f'<prop id="_IllumSetting_" type="string" value="{light}"/>'
        '<prop id="acquisition-time-local" type="time" '
        f'value="20240709 13:15:{second:06.3f}"/>'
    )
    if method:
        text += (
            f'<custom-prop id="Z Projection Method" type="string" value="{method}"/>'
        )
    image = np.arange(400, dtype=np.uint16).reshape(20, 20)
    tifffile.imwrite(path, image, description=text + "</MetaData>", metadata=None)


def test_names_come_from_metadata_and_times_from_the_clock(tmp_path: Path) -> None:
    for time, second in ((1, 3.0), (2, 13.02)):
        for wave, light in ((1, "DAPI"), (2, "Texas Red")):
            name = f"TimePoint_{time}/x_B02_s1_w{wave}.TIF"
            export(tmp_path / "Plate 7" / name, light, second + wave / 10)
    pictures, findings = find_pictures(tmp_path)
    assert {p.plate for p in pictures} == {"Plate_7"}
    assert {p.marker for p in pictures} == {"DAPI", "Texas_Red"}
    assert {p.timepoint_ms for p in pictures} == {0, 10000}
    assert "TimePoint_2 10000 ms" in findings[0].sentence
    given, _ = find_pictures(tmp_path, timepoints_ms=(5, 7))
    assert {p.timepoint_ms for p in given} == {5, 7}
    with pytest.raises(SettingsError, match="2 timepoints; 1 were given"):
        find_pictures(tmp_path, timepoints_ms=(5,))


def test_one_z_is_taken_or_asked_for(tmp_path: Path) -> None:
    for step in (1, 2):
        export(tmp_path / f"P/ZStep_{step}/x_B02_s1_w1.tif", "DAPI", 1.0)
    with pytest.raises(SettingsError, match=r"Z steps 1, 2.*give z="):
        find_pictures(tmp_path)
    with pytest.raises(SettingsError, match=r"Z steps 1, 2.*'projection'"):
        find_pictures(tmp_path, z="projection")
    with pytest.raises(SettingsError, match="no Z step 3"):
        find_pictures(tmp_path, z="3")
    (second,), _ = find_pictures(tmp_path, z="2")
    assert second.path.parent.name == "ZStep_2"
    export(tmp_path / "P/ZStep_0/x_B02_s1_w1.tif", "DAPI", 1.0, "Maximum")
    (projected,), findings = find_pictures(tmp_path)
    assert projected.path.parent.name == "ZStep_0"
    assert "w1 Maximum" in findings[0].sentence


def test_a_wavelength_number_must_be_one_channel(tmp_path: Path) -> None:
    export(tmp_path / "P/x_B02_s1_w1.tif", "DAPI", 1.0)
    export(tmp_path / "P/x_B03_s1_w1.tif", "FITC", 1.0)
    with pytest.raises(DataError, match="w1 is DAPI and FITC"):
        find_pictures(tmp_path)


def test_other_names_are_refused(tmp_path: Path) -> None:
    export(tmp_path / "P/readme.tif", "DAPI", 1.0)
    with pytest.raises(DataError, match=r"readme\.tif is not named"):
        find_pictures(tmp_path)


def real(real_data: Path, tmp_path: Path, name: str) -> IndexSettings:
    folder = real_data / "plates" / "faim_ipa_hcs" / name
    return IndexSettings(images=folder, out=tmp_path / "plates.csv")


def test_a_real_export_with_z_steps(real_data: Path, tmp_path: Path) -> None:
    settings = real(real_data, tmp_path, "ImageXpress_exported/9987_Plate_3434")
    found = index(settings)
    assert found.layout == "imagexpress"
    assert markers(found.frame) == ("DAPI", "FITC", "Texas_Red")
    assert found.frame["well"].tolist() == ["B02", "B02", "B03", "B03"]
    assert all("ZStep_0" in path for path in found.frame["path_DAPI"])
    text = "\n".join(finding.sentence for finding in found.findings)
    assert "w1 Maximum, w2 Maximum, w3 a single Z step" in text
    assert "4 wavelengths (DAPI, FITC, Texas Red, Cy5), of which 3 are there" in text
    one = index(replace(settings, z="1")).frame
    assert all("ZStep_1" in path for path in one["path_DAPI"])


def test_a_real_export_with_timepoints(real_data: Path, tmp_path: Path) -> None:
    settings = real(real_data, tmp_path, "ImageXpress_exported/9987_Plate_3435")
    found = index(settings)
    assert sorted(set(found.frame["timepoint_ms"])) == [0, 30000]
    assert len(found.frame) == 8
    text = "\n".join(finding.sentence for finding in found.findings)
    assert "w2 of TimePoint_2 was not taken again; 4 picture(s) are copies" in text
    assert "6 timepoints, of which 2 are there" in text


def test_both_real_plates_together_lack_a_channel(
    real_data: Path, tmp_path: Path
) -> None:
    settings = real(real_data, tmp_path, "ImageXpress_exported")
    with pytest.raises(DataError, match=r"9987_Plate_3435 .* no picture of Texas_Red"):
        index(settings)


def test_one_dye_in_three_projections_is_told_of(
    real_data: Path, tmp_path: Path
) -> None:
    found = index(real(real_data, tmp_path, "Projection-Mix"))
    assert markers(found.frame) == ("FITC_05", "FITC_05-2", "FITC_05-3")
    assert "one dye, FITC_05" in found.findings[0].sentence
