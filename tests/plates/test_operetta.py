"""Operetta and Phenix indexes of each Harmony version become complete tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from normgate.errors import DataError, NormgateError, SettingsError
from normgate.plates.index import Indexed, IndexSettings, index
from normgate.plates.read import read_image
from normgate.plates.schema import markers, read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

V5 = "http://www.perkinelmer.com/PEHH/HarmonyV5"
V7 = "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7"
CHANNELS = {1: "HOECHST 33342", 2: "Alexa 488"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement to write."""

    plate: str = "BR00121482"
    space: str = V5
    name: str = "Index.idx.xml"
    wells: tuple[tuple[int, int], ...] = ((2, 3), (16, 24))
    fields: tuple[int, ...] = (1, 2)
    planes: tuple[int, ...] = (1,)
    times: tuple[int, ...] = (0,)
    offsets_s: tuple[float, ...] = (0.0,)
    state: str = "Ok"
    url: str = ""
    """Stands for the first image's file name, where given."""


def write(folder: Path, given: Measurement) -> Path:
    """Write an index and its images, in a folder of the plate's own."""
    images = folder / given.plate / "Images"
    images.mkdir(parents=True)
    wells, pictures = [], []
    for row, column in given.wells:
        wells.append(f'<Well id="{row:02d}{column:02d}" />')
        for field in given.fields:
            for plane in given.planes:
                for time, offset in zip(given.times, given.offsets_s, strict=True):
                    for channel in CHANNELS:
                        key = (row, column, field, plane, time, channel)
                        pictures.append(image(images, given, key, offset))
    maps = "".join(
        f'<Entry ChannelID="{n}"><ChannelName>{name}</ChannelName></Entry>'
        for n, name in CHANNELS.items()
    )
    flat = '<Entry ChannelID="1"><FlatfieldProfile>{Channel: 1}</FlatfieldProfile>'
    text = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<EvaluationInputData Version="1" '
        f'xmlns="{given.space}"><Plates><Plate><PlateID>{given.plate}</PlateID>'
        f"<Name>{given.plate}</Name><PlateRows>16</PlateRows>{''.join(wells)}</Plate>"
        f"</Plates><Maps><Map>{flat}</Entry></Map>"
        f"{'<Map>' + maps + '</Map>' if given.space == V7 else ''}</Maps>"
        f"<Images>{''.join(pictures)}</Images></EvaluationInputData>"
    )
    (images / given.name).write_text(text)
    return images


def file_name(key: tuple[int, ...]) -> str:
    row, column, field, plane, time, channel = key
    return (
        f"r{row:02d}c{column:02d}f{field:02d}p{plane:02d}-ch{channel}"
        f"sk{time + 1}fk1fl1.tiff"
    )


def image(folder: Path, given: Measurement, key: tuple[int, ...], offset: float) -> str:
    row, column, field, plane, time, channel = key
    pixels = np.arange(900, dtype=np.uint16).reshape(30, 30) * 61 + sum(key)
    tifffile.imwrite(folder / file_name(key), pixels)
    name = (
        f"<ChannelName>{CHANNELS[channel]}</ChannelName>" if given.space == V5 else ""
    )
    first = key == (*given.wells[0], given.fields[0], given.planes[0], 0, 1)
    url = given.url if given.url and first else file_name(key)
    return (
        f"<Image><id>x</id><State>{given.state if first else 'Ok'}</State>"
        f"<URL>{url}</URL><Row>{row}</Row><Col>{column}</Col>"
        f"<FieldID>{field}</FieldID><PlaneID>{plane}</PlaneID>"
        f"<TimepointID>{time}</TimepointID><ChannelID>{channel}</ChannelID>{name}"
        f'<MeasurementTimeOffset Unit="s">{offset}</MeasurementTimeOffset></Image>'
    )


def indexed(folder: Path, **more: Any) -> Indexed:
    return index(IndexSettings(images=folder, out=folder / "plates.csv", **more))


@pytest.mark.parametrize(
    ("space", "name"), [(V5, "Index.idx.xml"), (V7, "Index.xml")], ids=["v5", "v7"]
)
def test_an_index_becomes_a_complete_table(
    tmp_path: Path, space: str, name: str
) -> None:
    write(tmp_path, Measurement(space=space, name=name))
    found = indexed(tmp_path)
    frame = read_plate_csv(tmp_path / "plates.csv")
    assert found.layout == "operetta"
    assert found.findings == ()
    assert markers(frame) == ("Alexa_488", "HOECHST_33342")
    assert frame["plate"].unique().tolist() == ["BR00121482"]
    assert frame["well"].tolist() == ["B03", "B03", "P24", "P24"]
    assert frame["site"].tolist() == ["1", "2", "1", "2"]
    assert frame["timepoint_ms"].unique().tolist() == [0]
    for row in frame.to_dict("records"):
        for channel, marker in enumerate(("HOECHST_33342", "Alexa_488"), start=1):
            plane = read_image(tmp_path / row[f"path_{marker}"])
            expected = row["row"] + row["column"] + int(row["site"]) + 1 + channel
            assert plane[0, 0] == expected


def test_timepoints_lie_where_the_index_puts_them(tmp_path: Path) -> None:
    write(tmp_path, Measurement(times=(0, 1), offsets_s=(2.0, 12.3)))
    found = indexed(tmp_path)
    assert sorted(set(found.frame["timepoint_ms"])) == [0, 10000]
    assert "0 at 0 ms, 1 at 10000 ms" in found.findings[0].sentence
    frame = indexed(tmp_path, timepoints_ms=(0, 500)).frame
    assert sorted(set(frame["timepoint_ms"])) == [0, 500]
    with pytest.raises(SettingsError, match="2 timepoints; 1 were given"):
        indexed(tmp_path, timepoints_ms=(0,))


def test_one_time_for_two_timepoints_is_refused(tmp_path: Path) -> None:
    write(tmp_path, Measurement(times=(0, 1), offsets_s=(0.0, 0.0)))
    with pytest.raises(DataError, match="give them in milliseconds"):
        indexed(tmp_path)


def test_one_plane_of_a_stack_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, Measurement(planes=(1, 2, 3)))
    with pytest.raises(SettingsError, match="has planes 1, 2, 3; name one"):
        indexed(tmp_path)
    frame = indexed(tmp_path, z="3").frame
    assert frame["path_Alexa_488"].str.contains("p03-").all()


def test_two_measurements_below_a_folder_are_one_table(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write(tmp_path, Measurement(plate=name))
    assert sorted(set(indexed(tmp_path).frame["plate"])) == ["P1", "P2"]


def test_what_the_instrument_says_of_an_image_is_told(tmp_path: Path) -> None:
    images = write(tmp_path, Measurement(state="Failed"))
    path = images / "Index.idx.xml"
    text = path.read_text().replace("<PlateRows>", '<Well id="0505" /><PlateRows>')
    path.write_text(text)
    found = " ".join(f.sentence for f in indexed(tmp_path).findings)
    assert "1 image(s) are not Ok" in found
    assert "names well E05" in found


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    images = write(tmp_path, Measurement())
    (images / file_name((2, 3, 2, 1, 0, 1))).unlink()
    with pytest.raises(DataError, match=r"r02c03f02p01-ch1.*restore the file"):
        indexed(tmp_path)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY a{n} "{("&a" + (str(n - 1) if n > 1 else "") + ";") * 10}">'
    for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "can't be read as an index", id="empty"),
        pytest.param("<EvaluationInputData><Images>", "can't be read", id="cut-short"),
        pytest.param("<Other/>", "its root is Other", id="another-file"),
        pytest.param("<EvaluationInputData/>", "names no image", id="no-image"),
        pytest.param(
            BOMB + "]><EvaluationInputData><Plate><Name>&a9;</Name></Plate>"
            "</EvaluationInputData>",
            "can't be read",
            id="entity-bomb",
        ),
    ],
)
def test_a_file_that_is_no_index_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "Index.idx.xml").write_text(text)
    with pytest.raises(DataError, match=words):
        indexed(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("<Row>2<", "<Row>0<", "no well", id="row-zero"),
        pytest.param("<Row>2<", "<Row>99<", "no well", id="row-beyond"),
        pytest.param("<FieldID>1<", "<FieldID>x<", "not a whole number", id="field"),
        pytest.param('Unit="s">0.0', 'Unit="s">soon', "not a number", id="offset"),
        pytest.param("<ChannelName>HOECHST 33342<", "<X>HOECHST<", None, id="broken"),
        pytest.param(
            "<ChannelName>HOECHST 33342</ChannelName>", "", "no name", id="no-name"
        ),
        pytest.param("<URL>r02", "<URL>../r02", "no TIFF beside it", id="outside"),
        pytest.param("<URL>r02", "<URL>/etc/r02", "no TIFF beside it", id="absolute"),
        pytest.param(".tiff<", ".exe<", "no TIFF beside it", id="no-tiff"),
        pytest.param("<FieldID>2<", "<FieldID>1<", "two pictures", id="twice"),
    ],
)
def test_an_index_that_is_wrong_is_refused_by_name(
    tmp_path: Path, old: str, new: str, words: str | None
) -> None:
    path = write(tmp_path, Measurement()) / "Index.idx.xml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(NormgateError, match=words or "can't be read"):
        indexed(tmp_path)
    assert not (tmp_path / "plates.csv").exists()
