"""Reading: values exact in every format, and hostile files named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import tifffile
from tests.acquisitions.studies import REAL, REAL_MARKERS, one, real

from normgate.acquisitions import write
from normgate.acquisitions.instrument import list_mcd
from normgate.acquisitions.panel import Marker
from normgate.acquisitions.place import place_of
from normgate.acquisitions.read import read_acquisition, read_stack
from normgate.contract import Channel
from normgate.errors import CorruptImage, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MARKERS = (Marker("La139", "CD3"), Marker("Pr141", "CD4"), Marker("Sm147", "CD8"))
NAMES = ["CD3", "CD4", "CD8"]
FORMATS = ["a.tiff", "a.ome.tiff", "a.txt", "a.h5", "a.zarr"]


def values(dtype: str) -> NDArray[Any]:
    draw = np.random.default_rng(0)
    if dtype == "float32":
        return draw.gamma(1, 30, size=(3, 5, 7)).astype(np.float32)
    return draw.integers(0, np.iinfo(dtype).max, size=(3, 5, 7)).astype(dtype)


def written(folder: Path, name: str, array_cyx: NDArray[Any], order: list[int]) -> Any:
    """An image of the planes in an order, and its panel where it needs one."""
    path, mixed = folder / name, [MARKERS[c] for c in order]
    array_cyx = array_cyx[order]
    labels = [f"{one.tag}_{one.target}" for one in mixed]
    panel = None
    if name == "a.tiff":
        write.write_tiff(path, array_cyx)
        panel = folder / "panel.csv"
        write.write_panel(panel, mixed)
    elif name == "a.ome.tiff":
        write.write_tiff(path, array_cyx, labels)
    elif name == "a.txt":
        write.write_txt(path, array_cyx, mixed)
    elif name == "a.h5":
        write.write_hdf5(path, {"x": (array_cyx, labels)})
    else:
        write.write_zarr(path, {"x": (array_cyx, labels)})
    return one(name, folder, panel=panel)


def bound(acquisition: Any, dtype: str) -> NDArray[Any]:
    channels = [Channel(name=n, input=dtype, steps=()) for n in NAMES]  # type: ignore[arg-type]
    return np.stack(read_acquisition(acquisition).planes(channels))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_permuted_file_gives_the_same_bits(
    tmp_path: Path, name: str, dtype: str
) -> None:
    array_cyx = values(dtype)
    for number, order in enumerate(([0, 1, 2], [2, 0, 1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = bound(written(folder, name, array_cyx, order), dtype)
        assert found.dtype == array_cyx.dtype
        assert np.array_equal(found, array_cyx)


def test_a_declared_scale_gives_counts_again(tmp_path: Path) -> None:
    array_cyx = values("uint16") // 4
    write.write_hdf5(tmp_path / "a.h5", {"x": (array_cyx / np.float32(16384), NAMES)})
    found = one("a.h5", tmp_path, scale=16384.0)
    assert np.array_equal(bound(found, "uint16"), array_cyx)


@pytest.mark.parametrize("panel", ["panel.csv", "steinbock/panel.csv"])
@pytest.mark.parametrize("form", ["mcd", "txt"])
def test_both_panels_of_a_real_study_give_the_same_bits(
    real_data: Path, form: str, panel: str
) -> None:
    channels = [Channel(name=n, input="float32", steps=()) for n in REAL_MARKERS]
    for slide, number in ((1, 2), (2, 1), (3, 3), (5, 1)):
        acquisition = real(real_data, form, slide, number, panel)
        found = np.stack(read_acquisition(acquisition).planes(channels))
        raw = read_stack(acquisition.image).array_cyx
        assert np.array_equal(found, raw)


def test_a_real_tiff_has_the_instruments_values(real_data: Path) -> None:
    """Of this slide; on others the study's software took hot pixels out."""
    channels = [Channel(name=n, input="float32", steps=()) for n in REAL_MARKERS]
    found = [
        np.stack(read_acquisition(real(real_data, form, 1, 1)).planes(channels))
        for form in ("tiff", "mcd", "txt")
    ]
    assert np.array_equal(found[0], found[1])
    assert np.abs(found[2] - found[1]).max() < 6e-4, "a .txt has three decimals"


def test_a_real_tiff_is_refused_with_a_panel_of_no_order(real_data: Path) -> None:
    with pytest.raises(DataError, match="does not tell their order"):
        read_acquisition(real(real_data, "tiff", 1, 1, "panel.csv"))


def test_a_real_mcd_lists_its_acquisitions(real_data: Path) -> None:
    folder = real_data / REAL / "raw" / "20210305_NE_mockData1"
    path = folder / "20210305_NE_mockData1.mcd"
    assert [name for _, name in list_mcd(path)] == ["ROI_001", "ROI_002", "ROI_003"]
    with pytest.raises(DataError, match="has acquisitions 1, 2, 3; name one"):
        read_stack(place_of(str(path)))


def truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "a.zarr"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(truncated, id="cut"),
        pytest.param(lambda path: path.write_bytes(b"nothing"), id="other"),
        pytest.param(lambda path: path.unlink(), id="absent"),
    ],
)
def test_a_broken_file_is_a_corrupt_image(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    acquisition = written(tmp_path, name, values("float32"), [0, 1, 2])
    spoil(acquisition.image.path)
    with pytest.raises(CorruptImage, match="restore the file"):
        read_acquisition(acquisition)


def test_a_zarr_without_its_data_is_a_corrupt_image(tmp_path: Path) -> None:
    with pytest.raises(CorruptImage, match="restore the file"):
        read_acquisition(one("a.zarr", tmp_path))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        pytest.param("a.png", "is none of .mcd", id="kind"),
        pytest.param("a.h5#acquisition=1", "expected #dataset=", id="part"),
        pytest.param("a.txt#dataset=1", "expected the file alone", id="no-part"),
    ],
)
def test_a_name_that_is_no_place_is_refused(image: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        place_of(image)


def test_an_array_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    stack = (values("float32"), NAMES)
    write.write_hdf5(tmp_path / "a.h5", {"x": stack, "y": stack})
    with pytest.raises(DataError, match="has 2 arrays"):
        read_stack(place_of("a.h5", tmp_path))
    with pytest.raises(DataError, match="no array 'z'"):
        read_stack(place_of("a.h5#dataset=z", tmp_path))
    assert read_stack(place_of("a.h5#dataset=y", tmp_path)).shape_yx == (5, 7)


def test_values_that_float32_can_not_hold_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.full((1, 2, 2), 0.1)
    with pytest.raises(DataError, match="not exact in float32"):
        read_stack(place_of("a.h5", tmp_path))


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        pytest.param(
            np.zeros((2, 3, 4, 5), np.uint16), {"axes": "TCYX"}, "has axes", id="time"
        ),
        pytest.param(
            np.zeros((3, 16, 16), np.uint16), {"axes": "ZYX"}, "has axes ZYX", id="deep"
        ),
    ],
)
def test_time_and_depth_are_refused(
    tmp_path: Path, array: NDArray[Any], options: dict[str, str], said: str
) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tiff", array, ome=True, metadata=options)
    with pytest.raises(DataError, match=said):
        read_stack(place_of("a.ome.tiff", tmp_path))


def test_lossy_compression_is_refused(tmp_path: Path) -> None:
    image = np.zeros((3, 16, 16), np.uint8)
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, image, compression="jpeg", photometric="minisblack")
    with pytest.raises(DataError, match="compressed by"):
        read_stack(place_of("a.tiff", tmp_path))
