"""Loading: geometry, cells and graphs, and what a table must be."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acquisitions.studies import REAL, REAL_MARKERS, real, simulated

from normgate.acquisitions import graph, table, write
from normgate.acquisitions.cells import cells_of
from normgate.acquisitions.demo import DemoSettings, read_truth, write_demo
from normgate.acquisitions.geometry import (
    Box,
    CellGeometry,
    GridGeometry,
    boxes,
    geometry_from_json,
    nodes,
    view,
    view_orders,
)
from normgate.acquisitions.load import Loader
from normgate.acquisitions.simulate import World
from normgate.acquisitions.table import check, read_acquisition_csv
from normgate.contract import imc
from normgate.errors import DataError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"E{c + 1:04d}" for c in range(6)]
NONE = imc.imc_spec(NAMES, imc.legacy_none)


@pytest.mark.parametrize("form", ["hdf5", "zarr", "ome-tiff", "tiff"])
def test_every_format_of_the_demo_loads_to_what_was_simulated(
    tmp_path: Path, form: str
) -> None:
    rows = simulated(tmp_path / "demo", format=form)
    world = World(
        DemoSettings(patients=2, per_slide=3, channels=6, rows=9, columns=8).shared
    )
    loader = Loader(NONE, GridGeometry(grid=(3, 4)))
    for number, loaded in enumerate(loader.each(rows, quarantined := [])):
        assert np.array_equal(loaded.image_cyx, world.acquisition(number).array_cyx), (
            "whatever order the slide has"
        )
        assert loader.grids(loaded.image_cyx).nodes.shape == (6, 6, 3, 4)
    assert not quarantined


def test_the_truth_is_kept_beside_the_demo(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo")
    truth = read_truth(tmp_path / "demo")
    loaded = Loader(NONE, GridGeometry(grid=(3, 3))).load(rows[4])
    own = truth[rows[4].acquisition]
    assert own.channels == tuple(NAMES)
    assert f"class-{own.label}" == rows[4].label
    gaps = loaded.image_cyx - own.clean_cyx
    scale = loaded.image_cyx.std(axis=(1, 2))
    assert np.abs(gaps).max() > 0
    assert np.all(gaps.std(axis=(1, 2)) < scale)


def test_a_broken_off_demo_goes_on_and_a_foreign_folder_is_refused(
    tmp_path: Path,
) -> None:
    rows = simulated(tmp_path / "demo")
    table = tmp_path / "demo" / "acquisitions.csv"
    before, last = table.read_bytes(), rows[-1].image.path
    table.unlink()
    last.unlink()
    kept = rows[0].image.path.stat().st_mtime_ns
    assert simulated(tmp_path / "demo") == rows
    assert table.read_bytes() == before
    assert rows[0].image.path.stat().st_mtime_ns == kept
    with pytest.raises(DataError, match="other settings"):
        simulated(tmp_path / "demo", seed=1)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "x").touch()
    with pytest.raises(DataError, match="holds no demo"):
        write_demo(tmp_path / "foreign")


def test_scales_of_channels_differ_a_thousandfold() -> None:
    world = World(DemoSettings().shared)
    stds = np.std([world.acquisition(n).array_cyx for n in range(40)], axis=(0, 2, 3))
    assert stds.max() / stds.min() > 500


def test_a_corrupt_acquisition_is_quarantined_and_many_stop_the_job(
    tmp_path: Path,
) -> None:
    rows = simulated(tmp_path / "demo", format="ome-tiff")
    rows[0].image.path.write_bytes(b"")
    loader, quarantined = Loader(NONE, GridGeometry(grid=(3, 3))), []
    assert len(list(loader.each(rows, quarantined))) == len(rows) - 1
    (why,) = quarantined
    assert rows[0].acquisition in why
    with pytest.raises(DataError, match="1 of 1 acquisitions can't be read"):
        list(loader.each(rows[:1], []))


def test_an_acquisition_smaller_than_a_unit_is_refused(tmp_path: Path) -> None:
    (first, *_) = simulated(tmp_path / "demo")
    with pytest.raises(DataError, match=r"has \(9, 8\) pixels, a unit \(12, 12\)"):
        Loader(NONE, GridGeometry(grid=(6, 6), pool=2)).load(first)


@pytest.mark.parametrize(
    ("geometry", "shape", "expected"),
    [
        pytest.param(
            GridGeometry(grid=(2, 3)),
            (5, 7),
            [(0, 0, 0), (1, 0, 3), (2, 2, 0), (3, 2, 3)],
            id="tiles-lose-the-rest-evenly",
        ),
        pytest.param(
            GridGeometry(grid=(6, 6), place="center"),
            (14, 14),
            [(0, 4, 4)],
            id="the-incidents-centre",
        ),
        pytest.param(GridGeometry(grid=(6, 6)), (5, 90), [], id="too-small"),
    ],
)
def test_units_lie_where_the_geometry_says(
    geometry: GridGeometry, shape: tuple[int, int], expected: list[tuple[int, ...]]
) -> None:
    assert [tuple(box) for box in boxes(geometry, shape)] == expected


def test_a_node_is_the_mean_of_normalized_pixels() -> None:
    image = np.random.default_rng(0).normal(size=(2, 9, 11)).astype(np.float32)
    geometry = GridGeometry(grid=(2, 3), pool=3)
    found = nodes(image, Box(0, 1, 2), geometry)
    window = image[:, 1:7, 2:11].astype(np.float64)
    expected = window.reshape(2, 2, 3, 3, 3).mean(axis=(2, 4))
    assert np.allclose(found, expected, atol=1e-7)


@given(st.integers(0, 7), st.integers(2, 5))
def test_views_are_permutations_of_nodes(number: int, side: int) -> None:
    grid = np.random.default_rng(side).normal(size=(2, side, side))
    orders = view_orders(side)
    seen = view(grid, number)
    assert np.array_equal(seen.reshape(2, -1), grid.reshape(2, -1)[:, orders[number]])
    assert len({tuple(order) for order in orders}) == 8


@pytest.mark.parametrize(
    "geometry",
    [
        GridGeometry(grid=(6, 6), pool=2, place="center"),
        CellGeometry(edges="delaunay", reach_px=30.0),
    ],
    ids=["grid", "cells"],
)
def test_a_geometry_comes_back_from_json(
    geometry: GridGeometry | CellGeometry,
) -> None:
    values = geometry.to_json()
    assert geometry_from_json(values) == geometry
    with pytest.raises(SettingsError, match="missing or unknown"):
        geometry_from_json(values | {"more": 1})
    with pytest.raises(SettingsError, match="geometry order"):
        geometry_from_json(values | {"order": "pool-then-normalize"})


def test_a_label_image_of_another_shape_is_refused(tmp_path: Path) -> None:
    (first, *_) = simulated(tmp_path / "demo")
    write.write_mask(tmp_path / "m.tiff", np.ones((4, 4), dtype=np.uint16))
    wrong = replace(first, mask=tmp_path / "m.tiff")
    with pytest.raises(DataError, match="give the mask of this image"):
        Loader(NONE, CellGeometry()).load(wrong)
    with pytest.raises(DataError, match="has no mask"):
        Loader(NONE, CellGeometry()).load(first)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 1000))
def test_nearest_cells_are_nearest(cells: int, count: int, seed: int) -> None:
    places = np.random.default_rng(seed).uniform(0, 50, size=(cells, 2))
    places = places.astype(np.float32)
    found = graph.nearest(places, count)
    gaps = ((places[:, None].astype(float) - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    for cell in range(cells):
        own = found[found[:, 0] == cell][:, 1]
        expected = np.sort(gaps[cell])[: min(count, cells - 1)]
        assert np.allclose(np.sort(gaps[cell, own]), expected)


@pytest.mark.parametrize("cells", [0, 1, 2, 3])
def test_few_cells_have_a_graph_too(cells: int) -> None:
    labels = np.zeros((3, 9), dtype=np.int64)
    for cell in range(cells):
        labels[1, 3 * cell] = cell + 1
    image = np.ones((1, 3, 9), dtype=np.float32)
    for geometry in (CellGeometry(), CellGeometry(edges="delaunay")):
        found = graph.graph_of(cells_of(image, labels), geometry)
        assert found.cells.means_nc.shape == (cells, 1)
        assert found.edges_2e.shape[0] == (
            2 if found.edges_2e.size else len(found.edges_2e)
        )


def test_real_cells_are_those_of_the_studys_own_table(real_data: Path) -> None:
    """Means and centroids, as the study's software has measured them."""
    spec = imc.imc_spec(REAL_MARKERS, imc.legacy_none)
    loader = Loader(spec, CellGeometry(edges="delaunay"))
    with (real_data / REAL / "steinbock" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for slide, number in ((1, 1), (4, 2), (5, 3)):
        loaded = loader.load(real(real_data, "tiff", slide, number))
        assert loaded.labels_yx is not None
        found = loader.graph(loaded.image_cyx, loaded.labels_yx)
        image = f"20210305_NE_mockData{slide}_00{number}.tiff"
        own = [row for row in rows if row["Image"] == image]
        assert found.cells.labels.tolist() == [int(row["Object"]) for row in own]
        assert found.cells.areas.tolist() == [int(row["area"]) for row in own]
        columns = ("Ag107", "Cytokeratin 5", "Laminin", "YBX1", "H3K27Ac")
        means = np.array([[float(row[c]) for c in columns] for row in own])
        assert np.allclose(found.cells.means_nc, means, rtol=1e-5, atol=1e-6)
        middle = [[float(row[f"centroid-{a}"]) for a in (0, 1)] for row in own]
        assert np.allclose(found.cells.positions_n2, middle, atol=1e-4)
        assert set(found.edges_2e.ravel()) == set(range(len(own)))


def test_a_table_must_keep_patients_and_slides_whole(tmp_path: Path) -> None:
    simulated(tmp_path / "demo")
    table = read_acquisition_csv(tmp_path / "demo" / "acquisitions.csv")
    for kind in ("patient", "slide"):
        wrong = table.copy()
        wrong["patient"] = wrong["acquisition"]
        if kind == "patient":
            wrong = table.copy()
        wrong.loc[0, "split_group"] = "other"
        with pytest.raises(DataError, match=f"{kind} .* is in split groups"):
            check(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"image": ""}, "must not be empty", id="no-image"),
        pytest.param({"scale": "0"}, "scale is '0', expected a number", id="scale"),
        pytest.param({"pixel_um": "x"}, "pixel_um is 'x'", id="pixel"),
        pytest.param(
            {"more": "1"}, "column 'more' that the acquisition table", id="stranger"
        ),
        pytest.param({"acquisition": "twice"}, "stands twice", id="twice"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    simulated(tmp_path / "demo")
    table = read_acquisition_csv(tmp_path / "demo" / "acquisitions.csv")
    with pytest.raises(DataError, match=said):
        check(table.assign(**change))


def test_a_slides_file_is_hashed_once_for_all_its_acquisitions(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "demo", per_slide=5)
    table._hashed.cache_clear()
    before = [row.input_digest() for row in rows]
    files = {row.image.path for row in rows}
    assert len(set(before)) == len(rows)
    assert table._hashed.cache_info().misses == len(files) < len(rows)
    path = rows[0].image.path
    path.write_bytes(path.read_bytes() + b"more")
    after = [row.input_digest() for row in rows]
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert changed == [row.image.path == path for row in rows]
