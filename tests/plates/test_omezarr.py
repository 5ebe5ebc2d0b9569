"""OME-Zarr plates of both versions: indexed, measured, probed, deployed as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from tests.deploy.fakes import fake_model, plate_spec
from tests.plates.hcs import Plate, counts, edit, put, write

from normgate.deploy.pipeline import deploy
from normgate.deploy.quarantine import read_quarantine
from normgate.deploy.settings import DeploySettings
from normgate.errors import DataError, FingerprintMismatch, NormgateError, SettingsError
from normgate.plates import probe
from normgate.plates.applied import readable_file
from normgate.plates.geometry import Geometry
from normgate.plates.index import Indexed, IndexSettings, index
from normgate.plates.load import Loader, sites
from normgate.plates.measure import MeasureSettings, measure
from normgate.plates.read import read_image, read_mask
from normgate.plates.schema import markers, read_plate_csv, write_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BOTH = pytest.mark.parametrize("version", ["0.4", "0.5"])
TILES = Geometry(kind="tile", window=16, size=16)


def indexed(folder: Path, **more: Any) -> Indexed:
    settings = {"column_rule": "2=WT,3,10=APP", **more}
    return index(IndexSettings(images=folder, out=folder / "plates.csv", **settings))


@BOTH
def test_a_plate_becomes_a_complete_table_of_planes(
    tmp_path: Path, version: str
) -> None:
    plate = Plate(version=version, times=2, wells=("B/2", "B/3", "C/10"))
    store = write(tmp_path, plate)
    found = indexed(tmp_path)
    frame = read_plate_csv(tmp_path / "plates.csv")
    assert found.layout == "ome-zarr"
    assert len(frame) == 3 * 2 * 2
    assert markers(frame) == ("HALO", "RFP1")
    assert frame["well"].unique().tolist() == ["B02", "B03", "C10"]
    assert frame["label"].tolist() == ["WT"] * 4 + ["APP"] * 8
    assert sorted(set(frame["timepoint_ms"])) == [0, 10000]
    for row in frame.to_dict("records"):
        well = f"{row['well'][0]}/{int(row['well'][1:])}"
        whole = counts(store / well / row["site"], plate)
        for channel, marker in enumerate(("RFP1", "HALO")):
            plane = read_image(tmp_path / row[f"path_{marker}"])
            moment = row["timepoint_ms"] // 10000
            np.testing.assert_array_equal(plane, whole[moment, channel, 0])


@BOTH
def test_a_step_of_a_stack_and_a_label_image_are_chosen(
    tmp_path: Path, version: str
) -> None:
    plate = Plate(version=version, steps=3, cells="nuclei", wells=("A/1",))
    store = write(tmp_path, plate)
    with pytest.raises(SettingsError, match="3 Z steps; say which one"):
        indexed(tmp_path)
    with pytest.raises(SettingsError, match="Z steps 1 to 3"):
        indexed(tmp_path, z="4")
    frame = indexed(tmp_path, z="2", masks="nuclei").frame
    row = frame.iloc[0]
    whole = counts(store / "A/1/0", plate)
    plane = read_image(tmp_path / row["path_HALO"])
    np.testing.assert_array_equal(plane, whole[0, 1, 1])
    assert set(np.unique(read_mask(tmp_path / row["mask_path"]))) == {0, 1, 2}
    spec = plate_spec(("RFP1", "HALO"))
    loader = Loader(spec, Geometry(kind="cell", window=16, size=16), 0)
    site = sites(read_plate_csv(tmp_path / "plates.csv"), tmp_path / "plates.csv")[0]
    units = loader.units(site, loader.read(site))
    assert [(key.y, key.x) for key in units.keys] == [(15, 17), (45, 35)]


def test_channels_are_known_by_label_and_never_by_position(tmp_path: Path) -> None:
    store = write(tmp_path, Plate(wells=("A/1", "A/2")))
    swapped = store / "A/2/1/zarr.json"
    edit(swapped, lambda d: d["attributes"]["ome"]["omero"]["channels"].reverse())
    frame = indexed(tmp_path).frame
    ends = frame.set_index(["well", "site"])["path_HALO"].str.rpartition("=")[2]
    assert ends["A02", "1"] == "0,0,0"
    assert set(ends.drop(("A02", "1"))) == {"0,1,0"}


def test_channels_without_labels_are_named_by_the_user_or_refused(
    tmp_path: Path,
) -> None:
    store = write(tmp_path, Plate(wells=("A/1",), images=("0",)))
    meta = store / "A/1/0/zarr.json"
    with pytest.raises(SettingsError, match="give no channels"):
        indexed(tmp_path, channels=("X", "Y"))
    edit(meta, lambda d: d["attributes"]["ome"].pop("omero"))
    with pytest.raises(DataError, match=r"names no channels.*give channels="):
        indexed(tmp_path)
    with pytest.raises(DataError, match="has 2 channels, named X, X"):
        indexed(tmp_path, channels=("X", "X"))
    assert markers(indexed(tmp_path, channels=("Y", "X")).frame) == ("X", "Y")


def test_times_are_given_where_the_axis_tells_none(tmp_path: Path) -> None:
    store = write(tmp_path, Plate(wells=("A/1",), images=("0",), times=2))
    axes = ("attributes", "ome", "multiscales")

    def forget(document: dict[str, Any]) -> None:
        document[axes[0]][axes[1]][axes[2]][0]["axes"][0].pop("unit")

    edit(store / "A/1/0/zarr.json", forget)
    with pytest.raises(DataError, match="tells no time between them"):
        indexed(tmp_path)
    with pytest.raises(SettingsError, match="3 were given"):
        indexed(tmp_path, timepoints_ms=(0, 1, 2))
    frame = indexed(tmp_path, timepoints_ms=(0, 500)).frame
    assert frame["timepoint_ms"].tolist() == [0, 500]


def test_several_plates_below_a_folder_are_one_table(tmp_path: Path) -> None:
    for name, version in (("P1", "0.4"), ("P2", "0.5")):
        write(tmp_path / "day 1", Plate(name=name, version=version, wells=("A/1",)))
    frame = indexed(tmp_path).frame
    assert frame["plate"].tolist() == ["P1", "P1", "P2", "P2"]


def ome(change: Any) -> Any:
    return lambda path: edit(
        path / "zarr.json", lambda d: change(d["attributes"]["ome"])
    )


HOSTILE = [
    pytest.param("", ome(lambda o: o.update(version="0.3")), "version 0.3", id="old"),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"][0].update(path="../../etc")),
        "not a path inside the store", id="well-outside",
    ),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"][0].update(path="/etc")),
        "not a path inside the store", id="well-absolute",
    ),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"][0].update(rowIndex=7)),
        "at row 7", id="row-that-is-not",
    ),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"][0].update(columnIndex=1)),
        "lies at B/2", id="column-swapped",
    ),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"][0].update(rowIndex="0")),
        "rowIndex", id="row-as-text",
    ),
    pytest.param(
        "", ome(lambda o: o["plate"]["wells"].append(o["plate"]["wells"][0])),
        "two pictures", id="well-twice",
    ),
    pytest.param("", ome(lambda o: o["plate"].update(wells=[])), "wells", id="empty"),
    pytest.param(
        "B/2", ome(lambda o: o["well"]["images"][0].update(path="../3/0")),
        "not a path inside the store", id="image-outside",
    ),
    pytest.param(
        "B/2", ome(lambda o: o["well"]["images"].pop()),
        None, id="a-field-less-is-a-finding",
    ),
    pytest.param(
        "B/2/0", ome(lambda o: o["multiscales"][0]["datasets"][0].update(path="..")),
        "not a path inside the store", id="array-outside",
    ),
    pytest.param(
        "B/2/0", ome(lambda o: o["multiscales"][0]["axes"].reverse()),
        "in this order", id="axes-reversed",
    ),
    pytest.param(
        "B/2/0", ome(lambda o: o["multiscales"][0]["axes"].pop(0)),
        "has shape", id="axis-lost",
    ),
    pytest.param(
        "B/2/0", ome(lambda o: o["omero"]["channels"].pop()),
        "has 2 channels, named RFP1", id="label-lost",
    ),
    pytest.param("B/2/0", ome(dict.clear), "multiscales", id="no-image"),
    pytest.param(
        "B/3", lambda p: (p / "zarr.json").unlink(), "no zarr.json", id="well-lost"
    ),
    pytest.param(
        "B/3/1/0", lambda p: (p / "zarr.json").unlink(), "no zarr.json", id="array-lost"
    ),
    pytest.param(
        "B/3/1", lambda p: put(p / "zarr.json", [1]), "holds no object", id="a-list"
    ),
    pytest.param(
        "B/3/1/0", lambda p: [f.unlink() for f in (p / "c/0/1").rglob("*/*/*")],
        "none of its chunks", id="plane-lost",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("place", "harm", "words"), HOSTILE)
def test_a_hostile_store_is_refused_by_name(
    tmp_path: Path, place: str, harm: Any, words: str | None
) -> None:
    store = write(tmp_path, Plate(side=32))
    harm(store / place)
    if words is None:
        assert [f.kind for f in indexed(tmp_path).findings] == ["missing-site"]
        return
    with pytest.raises(NormgateError, match=words) as refusal:
        indexed(tmp_path)
    assert "P1.zarr" in str(refusal.value)
    assert not (tmp_path / "plates.csv").exists()


def test_chunks_that_are_not_there_are_told_of(tmp_path: Path) -> None:
    store = write(tmp_path, Plate(wells=("A/1",), images=("0",)))
    (store / "A/1/0/0/c/0/0/0/1/1").unlink()
    (finding,) = indexed(tmp_path).findings
    assert finding.kind == "absent-chunks"
    assert "1 of 4 chunks" in finding.sentence


def test_a_folder_without_a_plate_is_refused(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 4), dtype="u2")
    with pytest.raises(DataError, match="holds no OME-Zarr plate"):
        indexed(tmp_path, layout="ome-zarr")


FORMATS = [
    pytest.param("0.4", (), id="v2"),
    pytest.param("0.5", (), id="v3"),
    pytest.param("0.5", (("shards", (1, 2, 1, 64, 64)),), id="v3-shards"),
    pytest.param("0.5", (("compressors", None),), id="v3-raw"),
]


@pytest.mark.parametrize(("version", "options"), FORMATS)
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_the_probe_takes_the_format_of_the_store(
    tmp_path: Path, version: str, options: tuple[tuple[str, Any], ...], dtype: str
) -> None:
    plate = Plate(
        version=version, options=options, times=2, dtype=dtype, wells=("A/1",)
    )
    write(tmp_path, plate)
    indexed(tmp_path)
    csv = tmp_path / "plates.csv"
    spec = plate_spec(("RFP1", "HALO"))
    loader = Loader(spec, TILES, 0)
    like = readable_file(loader, sites(read_plate_csv(csv), csv))
    assert str(like).endswith("#plane=0,0,0")
    expected = probe.expected_fingerprint(spec, TILES)
    assert probe.verify(loader, like) == expected


def test_a_reader_that_takes_the_neighbouring_plane_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, Plate(wells=("A/1",)))
    row = indexed(tmp_path).frame.iloc[0]

    def wrong(path: Path) -> tuple[NDArray[Any], str]:
        return read_image(str(path).replace("#plane=0,0,", "#plane=0,1,")), "0" * 64

    monkeypatch.setattr("normgate.plates.planes.read_plane", wrong)
    loader = Loader(plate_spec(("RFP1", "HALO")), TILES, 0)
    with pytest.raises(FingerprintMismatch, match="channel RFP1"):
        probe.verify(loader, tmp_path / row["path_RFP1"])


def as_tiff(csv: Path, folder: Path) -> Path:
    """The same table with every plane copied to a TIFF file."""
    frame = read_plate_csv(csv)
    for marker in markers(frame):
        for at, name in enumerate(frame[f"path_{marker}"]):
            path = folder / f"{marker}{at}.tif"
            tifffile.imwrite(path, read_image(csv.parent / name))
            frame.loc[at, f"path_{marker}"] = path.name
    write_plate_csv(frame, folder / "plates.csv")
    return folder / "plates.csv"


@BOTH
def test_measured_and_deployed_as_its_copy_in_tiff_files_is(
    tmp_path: Path, version: str
) -> None:
    write(tmp_path / "zarr", Plate(version=version))
    (tmp_path / "tiff").mkdir()
    indexed(tmp_path / "zarr")
    ours = tmp_path / "zarr/plates.csv"
    theirs = as_tiff(ours, tmp_path / "tiff")
    spec = plate_spec(("RFP1", "HALO"))
    found = []
    for csv in (ours, theirs):
        out = csv.parent / "out"
        frame = read_plate_csv(csv)
        measured = measure(frame, csv, csv.parent, MeasureSettings()).spec
        settings = DeploySettings(data=csv, out=out, shard_sites=4)
        deploy([fake_model("m", spec, 0)], sites(frame, csv), settings)
        rows = pd.concat([pd.read_parquet(part) for part in sorted(out.glob("m/*"))])
        found.append((measured, rows.drop(columns="input_digest")))
    assert found[0][0] == found[1][0]
    pd.testing.assert_frame_equal(found[0][1], found[1][1])
    assert len(found[0][1]) == 4 * 16 * 2


def test_a_lost_plane_is_quarantined_and_done_when_it_is_back(tmp_path: Path) -> None:
    store = write(tmp_path, Plate())
    indexed(tmp_path)
    csv, out = tmp_path / "plates.csv", tmp_path / "out"
    chunks = sorted((store / "B/3/1/0/c/0/1").rglob("*/*/*"))
    kept = {chunk: chunk.read_bytes() for chunk in chunks if chunk.is_file()}
    for chunk in kept:
        chunk.write_bytes(b"")
    model = fake_model("m", plate_spec(("RFP1", "HALO")), 0)
    places = sites(read_plate_csv(csv), csv)
    settings = DeploySettings(data=csv, out=out, shard_sites=2)
    report = deploy([model], places, settings)
    assert report.failed_sites == {"m": 1}
    (record,) = read_quarantine(out)
    assert (record.well, record.site, record.marker) == ("B03", "1", "HALO")
    assert record.path.endswith("P1.zarr/B/3/1/0#plane=0,1,0")
    for chunk, data in kept.items():
        chunk.write_bytes(data)
    again = deploy([model], places, settings)
    assert (again.quarantined, again.resumed_sites) == (0, 2)
