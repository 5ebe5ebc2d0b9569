"""From folders to plate tables: what is there, and what is missing, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from normgate.errors import DataError, NormgateError, SettingsError
from normgate.plates.demo import DemoSettings, write_demo
from normgate.plates.index import IndexSettings, index
from normgate.plates.schema import markers, read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

PATTERN = (
    r"(?P<plate>P\d)_(?P<well>[A-P]\d+)_s(?P<site>\d)"
    r"_(?P<timepoint_ms>\d+)ms_(?P<channel>\w+)\.tif"
)
IMAGE = np.arange(300 * 20).reshape(60, 100).astype(np.uint16) * 11


@pytest.fixture
def settings(tmp_path: Path) -> IndexSettings:
    """One plate of two wells, two sites, two timepoints and two markers."""
    folder = tmp_path / "images" / "day 1"
    folder.mkdir(parents=True)
    for well in ("B2", "B3"):
        for site in (1, 2):
            for time in (0, 500):
                for marker in ("RFP1", "HALO"):
                    name = f"P1_{well}_s{site}_{time}ms_{marker}.tif"
                    tifffile.imwrite(folder / name, IMAGE)
    return IndexSettings(
        images=tmp_path / "images",
        out=tmp_path / "tables" / "plates.csv",
        layout="pattern",
        pattern=PATTERN,
        column_rule="2=WT,3=APP",
    )


def image(settings: IndexSettings, name: str) -> Path:
    return settings.images / "day 1" / name


def test_a_named_pattern_gives_a_complete_table(settings: IndexSettings) -> None:
    seen: list[tuple[int, int]] = []
    found = index(settings, lambda done, total: seen.append((done, total)))
    frame = read_plate_csv(settings.out)
    assert len(frame) == len(found.frame) == 8
    assert markers(frame) == ("HALO", "RFP1")
    assert frame["path_HALO"][0] == "../images/day 1/P1_B2_s1_0ms_HALO.tif"
    assert frame["label"].tolist() == ["WT"] * 4 + ["APP"] * 4
    assert frame["split_group"].unique().tolist() == ["P1:B02", "P1:B03"]
    assert seen[-1] == (16, 16)
    assert found.findings == ()


def test_a_lost_channel_is_named(settings: IndexSettings) -> None:
    image(settings, "P1_B3_s2_0ms_HALO.tif").unlink()
    with pytest.raises(
        DataError, match="well B03 site 2 at 0 ms has no picture of HALO"
    ):
        index(settings)
    assert not settings.out.exists()


def test_a_lost_site_is_told_of(settings: IndexSettings) -> None:
    for path in image(settings, "").glob("P1_B3_s2_*"):
        path.unlink()
    (finding,) = index(settings).findings
    assert finding.kind == "missing-site"
    assert "well B03 site 2" in finding.sentence


def test_a_lost_timepoint_is_named(settings: IndexSettings) -> None:
    for path in image(settings, "").glob("P1_B3_s2_500*"):
        path.unlink()
    with pytest.raises(DataError, match="well B03 site 2 has no picture at 500 ms"):
        index(settings)


def test_a_doubled_well_is_named_with_both_files(settings: IndexSettings) -> None:
    tifffile.imwrite(image(settings, "P1_B02_s1_0ms_HALO.tif"), IMAGE)
    with pytest.raises(DataError, match=r"well B02 .*B02_s1_0ms.* and .*B2_s1_0ms"):
        index(settings)


def test_an_unreadable_file_is_named(settings: IndexSettings) -> None:
    path = image(settings, "P1_B3_s1_0ms_RFP1.tif")
    path.write_bytes(path.read_bytes()[:5000])
    image(settings, "P1_B3_s2_0ms_RFP1.tif").write_text("")
    with pytest.raises(DataError, match=r"P1_B3_s1_0ms_RFP1\.tif .*\(1 more\)"):
        index(settings)


def test_mixed_bit_depth_is_named(settings: IndexSettings) -> None:
    tifffile.imwrite(image(settings, "P1_B3_s2_0ms_RFP1.tif"), IMAGE.astype(np.uint8))
    with pytest.raises(DataError, match=r"RFP1 has mixed bit depth: .*uint16.*uint8"):
        index(settings)


def test_channels_of_two_shapes_are_named(settings: IndexSettings) -> None:
    tifffile.imwrite(image(settings, "P1_B3_s2_0ms_RFP1.tif"), IMAGE[:50])
    with pytest.raises(DataError, match="one site has two shapes"):
        index(settings)


def test_traps_of_bit_depth_are_told_of(settings: IndexSettings) -> None:
    for path in image(settings, "").glob("*HALO*"):
        tifffile.imwrite(path, IMAGE % 256 * 257)
    (finding,) = index(settings).findings
    assert finding.kind == "times-257"
    assert finding.sentence.startswith("HALO: 8 of 8 pictures")


def test_files_that_match_nothing_are_told_of(settings: IndexSettings) -> None:
    tifffile.imwrite(image(settings, "overview.tif"), IMAGE)
    (finding,) = index(settings).findings
    assert "1 TIFF file(s) match no pattern" in finding.sentence


def test_a_plate_map_must_name_every_well(
    settings: IndexSettings, tmp_path: Path
) -> None:
    path = tmp_path / "map.csv"
    path.write_text("well,genotype,treatment\nB2,WT,vehicle\n")
    mapped = replace(settings, column_rule="", platemap=path)
    with pytest.raises(DataError, match="does not name plate P1 well B03"):
        index(mapped)
    path.write_text("well,genotype,treatment\nB2,WT,vehicle\nB3,APP,drug\n")
    assert index(mapped).frame["treatment"].unique().tolist() == ["vehicle", "drug"]


def test_pages_of_an_ome_tiff_are_its_channels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for well in ("A01", "A02"):
        tifffile.imwrite(
            tmp_path / "images" / f"{well}.ome.tif",
            np.stack([IMAGE, IMAGE + 1]),
            photometric="minisblack",
            metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "Texas Red"]}},
        )
    settings = IndexSettings(
        images=tmp_path / "images",
        out=tmp_path / "plates.csv",
        pattern=r"(?P<well>[A-P]\d\d)\.ome\.tif",
    )
    frame = index(settings).frame
    assert markers(frame) == ("DAPI", "Texas_Red")
    assert frame["path_Texas_Red"][1] == "images/A02.ome.tif#page=1"
    tifffile.imwrite(tmp_path / "images" / "A03.ome.tif", IMAGE, metadata=None)
    with pytest.raises(DataError, match="add a channel group"):
        index(settings)


SETTINGS = [
    pytest.param({"layout": "zarr"}, "layout", id="layout"),
    pytest.param({"pattern": ""}, "needs a pattern", id="no-pattern"),
    pytest.param({"pattern": "("}, "no regular expression", id="broken-pattern"),
    pytest.param({"pattern": r"(?P<chanel>x)"}, "'chanel'", id="unknown-group"),
    pytest.param({"pattern": r"(?P<channel>x)"}, "names no well", id="no-well"),
    pytest.param({"layout": "nf1"}, "takes no pattern", id="pattern-for-nf1"),
    pytest.param({"pattern": r"(?P<well>Z)\.x"}, "no file .* matches", id="no-match"),
    pytest.param({"column_rule": "1-WT"}, "column rule", id="rule"),
]


@pytest.mark.parametrize(("change", "word"), SETTINGS)
def test_settings_that_do_not_fit_are_refused(
    settings: IndexSettings, change: dict[str, str], word: str
) -> None:
    with pytest.raises(NormgateError, match=word):
        index(replace(settings, **change))  # type: ignore[arg-type]


def test_a_map_and_a_rule_together_are_refused(settings: IndexSettings) -> None:
    with pytest.raises(SettingsError, match="not both"):
        replace(settings, platemap=settings.out)


def test_folders_without_tiffs_say_what_they_hold(tmp_path: Path) -> None:
    settings = IndexSettings(images=tmp_path / "none", out=tmp_path / "x.csv")
    with pytest.raises(DataError, match="not a folder"):
        index(settings)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.tif.gz").write_bytes(b"")
    with pytest.raises(DataError, match="gunzip"):
        index(settings)
    (tmp_path / "none" / "a.tif.gz").rename(tmp_path / "none" / "a.png")
    with pytest.raises(DataError, match=r"no TIFF \(found \.png\)"):
        index(settings)


def test_the_demo_is_known_by_itself_and_its_table_may_stand_elsewhere(
    tmp_path: Path,
) -> None:
    write_demo(tmp_path / "demo", DemoSettings(plates=1, rows=1))
    settings = IndexSettings(images=tmp_path / "demo", out=tmp_path / "t" / "p.csv")
    found = index(settings)
    assert found.layout == "demo"
    frame = read_plate_csv(settings.out)
    assert (settings.out.parent / frame["path_HALO"][5]).is_file()


def test_real_nf1_fields_are_indexed_with_masks(
    real_data: Path, tmp_path: Path
) -> None:
    settings = IndexSettings(
        images=real_data / "plates" / "nf1_plate2_cytodataframe",
        out=tmp_path / "plates.csv",
        column_rule="1,6=WT,7,12=Null",
    )
    found = index(settings)
    frame = read_plate_csv(settings.out)
    assert found.layout == "nf1"
    assert dict(zip(frame["well"], frame["genotype"], strict=True)) == {
        "B07": "Null", "D06": "WT", "D07": "Null", "F07": "Null", "H12": "Null",
    }  # fmt: skip
    assert markers(frame) == ("DAPI", "GFP", "RFP")
    assert all((tmp_path / path).is_file() for path in frame["mask_path"])
    kinds = [finding.kind for finding in found.findings]
    assert kinds == ["missing-site", "times-257", "times-257", "times-257"]
