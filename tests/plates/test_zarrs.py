"""Planes of Zarr arrays: every bit is kept, and hostile stores are refused by name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from tests.plates.hcs import edit
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from normgate.errors import CorruptImage, DataError
from normgate.plates import zarrs
from normgate.plates.read import (
    plane_digest,
    plane_state,
    read_header,
    read_image,
    read_mask,
    read_plane,
)
from normgate.plates.zarr_array import plane_name

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
SHAPE = (2, 3, 1, 40, 50)
INDEX = (1, 2, 0)


def counts(dtype: str = "uint16") -> np.ndarray[Any, Any]:
    if dtype.endswith("f4"):
        return RNG.normal(size=SHAPE).astype(dtype)
    return RNG.integers(1, 120, SHAPE).astype(dtype)


def store(folder: Path, values: np.ndarray[Any, Any], **options: Any) -> Path:
    chosen = {"chunks": (1, 1, 1, 32, 32), "zarr_format": 3, **options}
    path = folder / "a.zarr"
    array = zarr.create_array(
        str(path), shape=values.shape, dtype=values.dtype, **chosen
    )
    array[...] = values
    return path


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i2", "<f4", ">f4"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="v3"),
        pytest.param({"compressors": [BloscCodec()]}, id="v3-blosc"),
        pytest.param({"compressors": [GzipCodec()]}, id="v3-gzip"),
        pytest.param({"compressors": None}, id="v3-raw"),
        pytest.param({"shards": (1, 3, 1, 64, 64)}, id="v3-shards"),
        pytest.param({"chunks": (2, 2, 1, 16, 64)}, id="v3-planes-in-a-chunk"),
        pytest.param(
            {"compressors": [ZstdCodec(checksum=True)]}, id="v3-zstd-with-checksum"
        ),
        pytest.param({"zarr_format": 2}, id="v2"),
        pytest.param(
            {
                "zarr_format": 2,
                "compressors": numcodecs.Blosc(),
                "chunk_key_encoding": {"name": "v2", "separator": "/"},
            },
            id="v2-blosc-folders",
        ),
    ],
)
def test_every_lossless_layout_gives_the_same_bits(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    values = counts(dtype)
    path = plane_name(store(tmp_path, values, **options), INDEX)
    found, digest = read_plane(path)
    assert found.dtype.isnative
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, values[INDEX])
    header = read_header(path)
    assert (header.shape_yx, header.dtype, header.pages) == ((40, 50), found.dtype, 6)
    assert digest == plane_digest(path)


def test_a_digest_is_of_type_shape_and_pixels_and_not_of_chunks(tmp_path: Path) -> None:
    values = counts()
    plain, other = tmp_path / "1", tmp_path / "2"
    one = plane_name(store(plain, values), INDEX)
    two = plane_name(store(other, values, zarr_format=2, chunks=(1, 1, 1, 9, 9)), INDEX)
    assert read_plane(one)[1] == read_plane(two)[1]
    plane = values[INDEX]
    text = b"uint16 (40, 50)\n" + plane.astype("<u2").tobytes()
    assert read_plane(one)[1] == hashlib.sha256(text).hexdigest()
    assert (
        read_plane(plane_name(tmp_path / "1/a.zarr", (0, 2, 0)))[1]
        != read_plane(one)[1]
    )
    assert plane_digest(plane_name(tmp_path / "gone", INDEX)) == "absent"


def test_a_plane_of_two_axes_needs_no_place(tmp_path: Path) -> None:
    path = tmp_path / "flat.zarr"
    array = zarr.create_array(str(path), shape=(20, 30), dtype="u2", chunks=(20, 30))
    array[...] = 7
    assert read_image(f"{path}#plane=").sum() == 7 * 600


def test_a_chunk_that_is_missing_is_the_fill_value_and_counted(tmp_path: Path) -> None:
    path = store(tmp_path, counts(), chunks=(1, 1, 1, 20, 50))
    plane = plane_name(path, INDEX)
    assert zarrs.absent(plane) == (0, 2)
    (path / "c/1/2/0/1/0").unlink()
    assert zarrs.absent(plane) == (1, 2)
    assert not read_image(plane)[20:].any()
    assert read_image(plane)[:20].all()


def test_a_repair_shows_in_the_state(tmp_path: Path) -> None:
    path = store(tmp_path, counts(), chunks=(1, 1, 1, 40, 50))
    plane, other = plane_name(path, INDEX), plane_name(path, (0, 0, 0))
    chunk = path / "c/1/2/0/0/0"
    before, beside, data = plane_state(plane), plane_state(other), chunk.read_bytes()
    chunk.write_bytes(data[:-9])
    assert plane_state(plane) not in (before, "missing")
    assert plane_state(other) == beside
    assert plane_state(plane_name(tmp_path / "gone", INDEX)) == "missing"


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda p: (p / "c/1/2/0/0/0").write_bytes(b""), id="empty"),
        pytest.param(
            lambda p: (p / "c/1/2/0/0/0").write_bytes(
                (p / "c/1/2/0/0/0").read_bytes()[:-20]
            ),
            id="cut-short",
        ),
        pytest.param(lambda p: (p / "c/1/2/0/0/0").write_bytes(b"x" * 99), id="noise"),
        pytest.param(lambda p: (p / "c/1/2/0/0/0").unlink(), id="never-written"),
        pytest.param(lambda p: (p / "zarr.json").unlink(), id="no-metadata"),
        pytest.param(lambda p: (p / "zarr.json").write_text("{"), id="half-json"),
        pytest.param(lambda p: (p / "zarr.json").write_text("[]"), id="a-list"),
        pytest.param(
            lambda p: (p / "zarr.json").write_text("[" * 99_999), id="deep-json"
        ),
        pytest.param(lambda p: edit(p / "zarr.json", dict.clear), id="empty-json"),
        pytest.param(
            lambda p: edit(p / "zarr.json", lambda d: d.update(shape=[1, -4])),
            id="negative-shape",
        ),
        pytest.param(
            lambda p: edit(p / "zarr.json", lambda d: d.update(node_type="group")),
            id="group",
        ),
        pytest.param(
            lambda p: edit(p / "zarr.json", lambda d: d.update(zarr_format=4)),
            id="another-format",
        ),
    ],
)
def test_a_broken_store_is_corrupt_and_named(tmp_path: Path, harm: Any) -> None:
    path = store(tmp_path, counts(), chunks=(1, 1, 1, 40, 50))
    harm(path)
    with pytest.raises(CorruptImage, match=r"a\.zarr.*restore the store"):
        read_image(plane_name(path, INDEX))


def codec(name: str) -> Any:
    def change(document: dict[str, Any]) -> None:
        document["codecs"].append({"name": name, "configuration": {}})

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(codec("numcodecs.quantize"), "may lose bits", id="quantized"),
        pytest.param(codec("numcodecs.pickle"), "not known here", id="pickle"),
        pytest.param(codec("jpeg2k"), "may lose bits", id="jpeg"),
        pytest.param(
            lambda d: d.update(shape=[2, 3, 1, 10**6, 10**6]), "2 GiB", id="huge-plane"
        ),
        pytest.param(
            lambda d: d["chunk_grid"]["configuration"].update(
                chunk_shape=[1, 1, 1, 10**6, 10**6]
            ),
            "2 GiB",
            id="huge-chunk",
        ),
        pytest.param(lambda d: d.update(data_type="float64"), "float64", id="float64"),
        pytest.param(lambda d: d.update(data_type="uint64"), "uint64", id="uint64"),
    ],
)
def test_what_loses_bits_or_fills_memory_is_refused(
    tmp_path: Path, change: Any, words: str
) -> None:
    path = store(tmp_path, counts())
    edit(path / "zarr.json", change)
    with pytest.raises(DataError, match=rf"a\.zarr.*{words}"):
        read_image(plane_name(path, INDEX))


def test_filters_of_the_old_format_are_refused(tmp_path: Path) -> None:
    path = store(tmp_path, counts(), zarr_format=2)
    lossy = {"id": "fixedscaleoffset", "scale": 1, "offset": 0, "dtype": "<u2"}
    edit(path / ".zarray", lambda d: d.update(filters=[lossy]))
    with pytest.raises(DataError, match="fixedscaleoffset"):
        read_image(plane_name(path, INDEX))


@pytest.mark.parametrize("index", [(1, 2), (1, 3, 0), (9, 0, 0), (0, 0, 0, 0)], ids=str)
def test_a_place_that_the_array_has_not_is_refused(
    tmp_path: Path, index: tuple[int, ...]
) -> None:
    path = store(tmp_path, counts())
    with pytest.raises(DataError, match="name one plane"):
        read_image(plane_name(path, index))


def test_label_images_are_masks_and_no_images(tmp_path: Path) -> None:
    path = plane_name(store(tmp_path, counts("<u4")), INDEX)
    assert read_mask(path).dtype == np.uint32
    with pytest.raises(DataError, match="uint32"):
        read_image(path)
