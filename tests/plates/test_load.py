"""From files to units: bound by name, cut from raw counts, digests of what was read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile

from normgate.contract import (
    Channel,
    Clip,
    Mask,
    Rescale,
    Spec,
    Standardize,
    StandardizeSample,
)
from normgate.errors import CorruptImage, DataError, SettingsError
from normgate.plates.geometry import Geometry
from normgate.plates.load import CELLS, Loader, PlaneKey, bind, read_site, sites
from normgate.transform.resize import reference_resize
from normgate.transform.table import table

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
TILES = Geometry(kind="tile", window=16, size=16)


def channel(name: str, low: int = 100, dtype: str = "uint16") -> Channel:
    steps = (Clip(low=low, high=60000), Rescale(low=low, high=60000))
    steps = (*steps, Standardize(mean=0.4, std=0.2))
    return Channel(name=name, input=dtype, steps=steps)


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    """Two wells, two timepoints, two markers, 40 x 50 pixels, and a mask each."""
    rows = []
    for well in ("A01", "A02"):
        for time in (0, 10000):
            row = {"plate": "P", "well": well, "row": 1, "column": int(well[1:])}
            row |= {"site": "1", "timepoint_ms": time, "genotype": "WT"}
            row |= {"treatment": "", "label": "WT", "split_group": f"P:{well}"}
            for marker in ("RFP1", "HALO"):
                name = f"{well}_{time}_{marker}.tif"
                image = RNG.integers(0, 65535, (40, 50)).astype(np.uint16)
                tifffile.imwrite(tmp_path / name, image)
                row[f"path_{marker}"] = name
            mask = np.zeros((40, 50), np.uint8)
            mask[18:23, 19:24] = mask[0:3, 0:3] = 255
            tifffile.imwrite(tmp_path / f"{well}_{time}_mask.tif", mask)
            row["mask_path"] = f"{well}_{time}_mask.tif"
            rows.append(row)
    return pd.DataFrame(rows)


def test_timepoints_of_a_site_are_joined(frame: pd.DataFrame, tmp_path: Path) -> None:
    found = sites(frame, tmp_path / "plates.csv")
    assert [site.well for site in found] == ["A01", "A02"]
    assert found[0].planes[PlaneKey("HALO", 10000)] == tmp_path / "A01_10000_HALO.tif"
    assert PlaneKey(CELLS, 0) in found[0].planes
    frame.loc[1, "label"] = "APP"
    with pytest.raises(DataError, match=r"well A01 site 1 has label 'WT' at 0 ms"):
        sites(frame, tmp_path / "plates.csv")


def test_channels_are_bound_by_marker_and_timepoint() -> None:
    both = Spec(channels=(channel("HALO:10000ms"), channel("RFP1:0ms")))
    assert bind(both, None) == (PlaneKey("HALO", 10000), PlaneKey("RFP1", 0))
    plain = Spec(channels=(channel("HALO"), channel("RFP1:0ms")))
    assert bind(plain, 10000)[0] == PlaneKey("HALO", 10000)
    with pytest.raises(SettingsError, match="HALO names no timepoint"):
        bind(plain, None)
    with pytest.raises(SettingsError, match="every channel names its own"):
        bind(both, 0)
    twice = Spec(channels=(channel("HALO"), channel("HALO:0ms")))
    with pytest.raises(SettingsError, match="two channels"):
        bind(twice, 0)


def test_units_are_cut_normalized_and_resized(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    site = sites(frame, tmp_path / "plates.csv")[0]
    spec = Spec(channels=(channel("HALO", 50), channel("RFP1", 500)))
    loader = Loader(spec, replace(TILES, size=11), 10000)
    planes = loader.read(site)
    units = loader.units(site, planes)
    assert units.images.shape == (6, 2, 11, 11)
    assert [key.unit for key in units.keys] == [0, 1, 2, 4, 5, 6]
    assert units.keys[4] == (5, 24, 24)
    raw = tifffile.imread(tmp_path / "A01_10000_RFP1.tif")[16:32, 16:32]
    wanted = reference_resize(table(spec.channels[1])[raw][None], (11, 11))[0]
    np.testing.assert_array_equal(units.images[4, 1], wanted)
    np.testing.assert_array_equal(
        loader.from_raw(loader.raw(site, planes)), units.images
    )


@pytest.mark.parametrize(
    ("border", "count"), [("drop", 1), ("reflect", 2), ("zero", 2)]
)
def test_cells_are_cut_around_their_centers(
    frame: pd.DataFrame, tmp_path: Path, border: str, count: int
) -> None:
    site = sites(frame, tmp_path / "plates.csv")[1]
    geometry = Geometry(kind="cell", window=9, size=9, border=border)  # type: ignore[arg-type]
    loader = Loader(Spec(channels=(channel("HALO"),)), geometry, 0)
    planes = loader.read(site)
    units = loader.units(site, planes)
    assert len(units.keys) == count
    assert units.keys[-1] == (2, 20, 21)
    raw = tifffile.imread(tmp_path / "A02_0_HALO.tif")[16:25, 17:26]
    np.testing.assert_array_equal(loader.raw(site, planes)[-1, 0], raw)
    with pytest.raises(DataError, match="no mask or centers"):
        loader.units(site, planes.only(loader.channel_keys))


def test_a_site_without_cells_gives_no_units(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "A01_0_mask.tif", np.zeros((40, 50), np.uint8))
    site = sites(frame, tmp_path / "plates.csv")[0]
    geometry = Geometry(kind="cell", window=9, size=7)
    loader = Loader(Spec(channels=(channel("HALO"),)), geometry, 0)
    units = loader.units(site, loader.read(site))
    assert units.images.shape == (0, 1, 7, 7)
    assert units.keys == ()


def test_the_input_digest_follows_files_and_not_order(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    one, other = sites(frame, tmp_path / "plates.csv")
    keys = (PlaneKey("HALO", 0), PlaneKey("RFP1", 0))
    planes = read_site(one, keys)
    assert planes.input_digest == read_site(one, keys[::-1]).input_digest
    assert planes.input_digest != read_site(other, keys).input_digest
    union = read_site(one, (*keys, PlaneKey("HALO", 10000)))
    assert union.only(keys).input_digest == planes.input_digest
    assert len(union) == 3


def test_what_is_missing_or_mixed_is_named(frame: pd.DataFrame, tmp_path: Path) -> None:
    site = sites(frame, tmp_path / "plates.csv")[0]
    with pytest.raises(DataError, match=r"well A01 site 1 has no picture DAPI:0ms"):
        Loader(Spec(channels=(channel("DAPI"),)), TILES, 0).read(site)
    loader = Loader(Spec(channels=(channel("HALO", dtype="uint8"),)), TILES, 0)
    with pytest.raises(DataError, match=r"A01_0_HALO\.tif holds uint16.*takes uint8"):
        loader.units(site, loader.read(site))
    tifffile.imwrite(tmp_path / "A01_0_HALO.tif", np.ones((9, 9), np.uint16))
    loader = Loader(Spec(channels=(channel("RFP1"), channel("HALO"))), TILES, 0)
    with pytest.raises(CorruptImage, match=r"HALO:0ms is \(9, 9\)"):
        loader.units(site, loader.read(site))


def test_normalized_pixels_are_not_raw_counts() -> None:
    loader = Loader(Spec(channels=(channel("HALO"),)), TILES, 0)
    for wrong in (np.full((1, 1, 16, 16), -0.5), np.full((1, 1, 16, 16), np.nan)):
        with pytest.raises(DataError, match="raw counts"):
            loader.from_raw(wrong)
    with pytest.raises(DataError, match="2 channels"):
        loader.from_raw(np.zeros((1, 2, 16, 16), np.uint16))


def test_steps_measured_on_each_sample_see_one_unit(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    step = StandardizeSample(
        scope="channel", fit_mask=Mask(), apply_mask=Mask(), outside="keep", eps=0,
        eps_placement="add", degenerate="zeros", ddof=0,
    )  # fmt: skip
    spec = Spec(channels=(Channel(name="HALO", input="uint16", steps=(step,)),))
    site = sites(frame, tmp_path / "plates.csv")[0]
    loader = Loader(spec, TILES, 0)
    images = loader.units(site, loader.read(site)).images
    np.testing.assert_allclose(images.mean(axis=(2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std(axis=(2, 3)), 1, atol=1e-5)
