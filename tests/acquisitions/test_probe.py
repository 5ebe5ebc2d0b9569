"""The applied fingerprint: every way to lie about acquisitions is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mlflow_normgate.bundlefiles import FINGERPRINTS
from normgate.acquisitions import applied, probe
from normgate.acquisitions.geometry import CellGeometry, GridGeometry
from normgate.acquisitions.graph import nearest, triangulated
from normgate.acquisitions.load import Loader
from normgate.contract import Channel, Clip, Spec, Standardize, imc
from normgate.errors import FingerprintMismatch
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.place import Format
    from normgate.acquisitions.stack import Stack


def dataset(input_type: Any) -> Spec:
    """Two channels of different constants, one named by a metal."""
    given = {"low": 0, "mean": 1.5, "std": 0.75, "input_type": input_type}
    return Spec(
        channels=(
            imc.dataset_z(name="CD3", high=200, **given),
            imc.dataset_z(name="Pr141", high=90, **given),
            imc.dataset_z(name="139La_CD8", high=35, **given),
        )
    )


SPECS = {
    "dataset": dataset("float32"),
    "dataset-uint16": dataset("uint16"),
    "image": imc.imc_spec(["A", "B"], imc.legacy_image_z),
    "revin": imc.imc_spec(["A", "B"], imc.revin),
    "mixed": Spec(
        channels=(imc.legacy_none(name="A", input_type="uint8"), imc.image_z(name="B"))
    ),
}
GEOMETRIES: dict[str, GridGeometry | CellGeometry] = {
    "grid": GridGeometry(grid=(6, 6)),
    "pooled": GridGeometry(grid=(3, 5), pool=4),
    "center": GridGeometry(grid=(6, 6), place="center"),
    "large": GridGeometry(grid=(270, 4)),
    "knn": CellGeometry(neighbours=4),
    "delaunay": CellGeometry(edges="delaunay"),
    "reach": CellGeometry(edges="delaunay", reach_px=22.0),
}
FORMATS: list[Format] = ["tiff", "txt", "hdf5", "zarr", "mcd"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=list(GEOMETRIES))
def test_a_loader_applies_what_is_declared(
    spec: Spec, geometry: GridGeometry | CellGeometry
) -> None:
    expected = probe.expected_fingerprint(spec, geometry)
    assert applied.verify(Loader(spec, geometry)) == expected


@pytest.mark.parametrize("like", FORMATS)
def test_every_format_has_the_same_fingerprint(like: Format) -> None:
    loader = Loader(SPECS["dataset"], GEOMETRIES["pooled"])
    assert applied.verify(loader, like) == probe.expected_fingerprint(
        loader.spec, loader.geometry
    )


def test_another_spec_or_geometry_has_another_fingerprint() -> None:
    found = {
        probe.expected_fingerprint(spec, geometry)
        for spec in SPECS.values()
        for geometry in GEOMETRIES.values()
    }
    # Of integers and of float32 the same table holds, but not the same probe.
    assert len(found) == len(SPECS) * len(GEOMETRIES)


@dataclass(frozen=True)
class ByPosition(Loader):
    """Binds planes by where they stand."""

    def planes(self, stack: Stack) -> list[NDArray[Any]]:
        return [
            plane.astype(channel.input)
            for plane, channel in zip(
                stack.array_cyx[1:], self.spec.channels, strict=False
            )
        ]


@dataclass(frozen=True)
class OtherConstants(Loader):
    """Applies one channel's steps to all."""

    def normalized(self, planes: Any, name: str) -> NDArray[np.float32]:
        first = self.spec.channels[0]
        every = [
            one.model_copy(update={"steps": first.steps}) for one in self.spec.channels
        ]
        return Normalizer(Spec(channels=tuple(every)))(planes)


@dataclass(frozen=True)
class Twice(Loader):
    """Takes mean and sd off once more."""

    def normalized(self, planes: Any, name: str) -> NDArray[np.float32]:
        once = super().normalized(planes, name)
        return (once - np.float32(1.5)) / np.float32(0.75)


@dataclass(frozen=True)
class PoolFirst(Loader):
    """Normalizes nodes, not pixels."""

    def grids(self, image_cyx: NDArray[np.float32]) -> Any:
        found = super().grids(image_cyx)
        shaken = found.nodes + np.float32(0.01)
        return type(found)(nodes=shaken, boxes=found.boxes)


@dataclass(frozen=True)
class Moved(Loader):
    """Cuts elsewhere."""

    def grids(self, image_cyx: NDArray[np.float32]) -> Any:
        return super().grids(image_cyx[:, 2:, :])


@dataclass(frozen=True)
class Unscaled(Loader):
    """Forgets the scale that the row declares."""

    def read(self, acquisition: Any) -> Stack:
        return super().read(replace(acquisition, scale=None))


@dataclass(frozen=True)
class FewerEdges(Loader):
    """Joins fewer cells."""

    def graph(self, image_cyx: Any, labels_yx: Any) -> Any:
        return self.with_geometry(CellGeometry(neighbours=2)).wide(image_cyx, labels_yx)

    def wide(self, image_cyx: Any, labels_yx: Any) -> Any:
        return super().graph(image_cyx, labels_yx)


@pytest.mark.parametrize(
    ("kind", "geometry", "said"),
    [
        pytest.param(ByPosition, "grid", "bound by where they stand", id="by-position"),
        pytest.param(OtherConstants, "grid", "does not apply what", id="constants"),
        pytest.param(Twice, "grid", "a step is applied twice", id="twice"),
        pytest.param(PoolFirst, "pooled", "normalize, then pool", id="pool-first"),
        pytest.param(Moved, "grid", "the place of units", id="moved"),
        pytest.param(Unscaled, "grid", "a declared scale", id="unscaled"),
        pytest.param(FewerEdges, "knn", "number of neighbours", id="edges"),
    ],
)
def test_a_loader_that_lies_is_named(
    kind: type[Loader], geometry: str, said: str
) -> None:
    plain = Spec(
        channels=tuple(
            Channel(
                name=name,
                input="float32",
                steps=(Clip(low=low, high=9000), Standardize(mean=1.5, std=0.75)),
            )
            for name, low in (("A", -20), ("B", -300), ("C", -4000))
        )
    )
    spec = plain if kind is not Twice else imc.imc_spec(["A", "B"], imc.legacy_none)
    with pytest.raises(FingerprintMismatch, match=said):
        applied.verify(kind(spec, GEOMETRIES[geometry]))


def test_the_probes_cells_are_in_general_position() -> None:
    """So that both ways to join them agree, with room to spare."""
    labels = probe.probe_labels()
    found = probe.cells_of(np.zeros((1, *labels.shape), np.float32), labels)
    assert len(found.labels) == 14
    assert list(found.labels) != list(range(1, 15))
    places = found.positions_n2
    by_scipy = probe.both_ways(triangulated(places))
    by_definition = probe.both_ways(probe._triangulated(places.astype(float)))
    assert np.array_equal(by_scipy, by_definition)
    for count in (1, 6, 13, 20):
        assert np.array_equal(
            probe.both_ways(nearest(places, count)),
            probe.both_ways(probe._nearest(places, count)),
        )


def test_the_gate_expects_what_the_loader_applies() -> None:
    for geometry in (GEOMETRIES["pooled"], GEOMETRIES["delaunay"]):
        card = {"geometry": geometry.to_json()}
        found = FINGERPRINTS["imc"](SPECS["dataset"], card)
        assert found == applied.applied_fingerprint(
            Loader(SPECS["dataset"], geometry), "hdf5"
        )


def test_the_gate_refuses_a_probe_that_is_too_large() -> None:
    card = {"geometry": GridGeometry(grid=(1024, 1024)).to_json()}
    many = imc.imc_spec([f"E{n}" for n in range(200)], imc.legacy_none)
    with pytest.raises(ValueError, match="more than"):
        FINGERPRINTS["imc"](many, card)


def test_a_golden_fingerprint_is_kept() -> None:
    found = probe.expected_fingerprint(SPECS["dataset"], GEOMETRIES["grid"])
    assert found[:16] == "8acbceb09f1581f5"


def test_the_expected_fingerprint_needs_numpy_alone() -> None:
    code = (
        "import sys\n"
        "for name in sys.argv[1:]:\n"
        "    sys.modules[name] = None\n"
        "from normgate.acquisitions.probe import expected_fingerprint\n"
        "from normgate.acquisitions.geometry import CellGeometry\n"
        "from normgate.contract import imc\n"
        "spec = imc.imc_spec(['A', 'B'], imc.image_z)\n"
        "print(expected_fingerprint(spec, CellGeometry(edges='delaunay')))\n"
    )
    absent = ["scipy", "torch", "numba", "tifffile", "h5py", "zarr", "readimc"]
    done = subprocess.run(
        [sys.executable, "-c", code, *absent],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spec = imc.imc_spec(["A", "B"], imc.image_z)
    assert done.stdout.strip() == probe.expected_fingerprint(
        spec, CellGeometry(edges="delaunay")
    )
