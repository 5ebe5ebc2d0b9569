"""Reading keeps bits, and refuses what loses them by the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from normgate.errors import CorruptImage, DataError
from normgate.plates.read import read_header, read_image, read_mask

RNG = np.random.default_rng(0)


def plane(dtype: str) -> np.ndarray[Any, Any]:
    if dtype == "float32":
        return RNG.normal(size=(40, 50)).astype(np.float32)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, (40, 50), endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"rowsperstrip": 3},
    ],
    ids=str,
)
def test_every_lossless_layout_gives_the_same_bits(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    image, path = plane(dtype), tmp_path / "a.tif"
    tifffile.imwrite(path, image, **options)
    found = read_image(path)
    assert found.dtype == dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_pages_are_named_by_number(tmp_path: Path, suffix: str) -> None:
    stack = RNG.integers(0, 65535, (4, 20, 30)).astype(np.uint16)
    path = tmp_path / f"stack{suffix}"
    tifffile.imwrite(path, stack, photometric="minisblack")
    for page in range(4):
        np.testing.assert_array_equal(read_image(f"{path}#page={page}"), stack[page])
    np.testing.assert_array_equal(read_image(Path(f"{path}#page=3")), stack[3])
    assert read_header(path).pages == 4
    with pytest.raises(DataError, match=r"stack.*4 page\(s\), counted from 0"):
        read_image(f"{path}#page=4")


REFUSED = [
    pytest.param({"compression": "jpeg"}, "uint8", (40, 40), "JPEG", id="jpeg"),
    pytest.param({"compression": "jpegxl"}, "uint8", (40, 40), "lossy", id="jpegxl"),
    pytest.param({"compression": "webp"}, "uint8", (40, 40, 3), "lossy", id="webp"),
    pytest.param({}, "uint8", (40, 40, 3), "RGB with 3", id="rgb"),
    pytest.param({}, "uint32", (40, 40), "uint32 pixels", id="uint32"),
    pytest.param({}, "float64", (40, 40), "float64 pixels", id="float64"),
    pytest.param(
        {"photometric": "miniswhite"}, "uint16", (40, 40), "MINISWHITE", id="inverted"
    ),
]


@pytest.mark.parametrize(("options", "dtype", "shape", "word"), REFUSED)
def test_what_loses_bits_is_refused_by_name(
    tmp_path: Path, options: dict[str, Any], dtype: str, shape: Any, word: str
) -> None:
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, np.ones(shape, dtype), **options)
    for read in (read_image, read_header):
        with pytest.raises(DataError, match=rf"odd\.tif.*{word}") as refusal:
            read(path)
        assert not isinstance(refusal.value, CorruptImage)


@pytest.mark.parametrize(
    ("name", "word"),
    [("a.tif.gz", "unpack"), ("a.jpg", "export"), ("a.png", "not a TIFF")],
)
def test_other_kinds_of_file_are_refused_with_the_way_out(name: str, word: str) -> None:
    with pytest.raises(DataError, match=word):
        read_image(Path("somewhere") / name)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.95, 0.999])
def test_a_file_cut_anywhere_is_corrupt_and_never_zeros(
    tmp_path: Path, options: dict[str, Any], share: float
) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, plane("uint16"), **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CorruptImage, match=r"cut\.tif.*restore"):
        read_image(path)


def test_missing_and_foreign_files_are_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match=r"gone\.tif"):
        read_image(tmp_path / "gone.tif")
    (tmp_path / "text.tif").write_text("not a picture")
    with pytest.raises(CorruptImage, match=r"text\.tif"):
        read_image(tmp_path / "text.tif")


def test_a_flipped_byte_in_compressed_pixels_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "flipped.tif"
    tifffile.imwrite(path, plane("uint16"), compression="zlib")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptImage, match=r"flipped\.tif"):
        read_image(path)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "int32"])
def test_masks_may_have_any_integer_type(tmp_path: Path, dtype: str) -> None:
    path, mask = tmp_path / "mask.tif", np.eye(24).astype(dtype)
    tifffile.imwrite(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_real_files_read_as_they_are(real_data: Path) -> None:
    folder = real_data / "plates"
    nf1 = folder / "nf1_plate2_cytodataframe/images/D6_01_1_2_DAPI_001.tif"
    image = read_image(nf1)
    assert (image.dtype, image.shape) == (np.uint16, (904, 1224))
    stack = folder / "stardist_testdata" / "img3d.tif"
    assert read_header(stack).pages == 31
    assert read_image(f"{stack}#page=30").shape == (61, 57)
