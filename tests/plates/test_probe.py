"""The applied fingerprint: every way to lie about normalization is caught by name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from normgate.contract import (
    Channel,
    Clip,
    Mask,
    Rescale,
    Scale,
    Spec,
    Standardize,
    StandardizeSample,
)
from normgate.errors import FingerprintMismatch, SpecError
from normgate.plates import probe
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader, PlaneKey, Planes, Site, Units
from normgate.transform.apply import Normalizer
from normgate.transform.reference import canonical
from normgate.transform.resize import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILES = Geometry(kind="tile", window=32, size=24)
RANGES = {"RFP1": (963, 9016), "HALO": (1783, 11525), "HALO_MASKED": (0, 238)}
IMAGENET = {
    "RFP1": (0.485, 0.229),
    "HALO": (0.456, 0.224),
    "HALO_MASKED": (0.406, 0.225),
}


def channel(name: str, like: str = "", dtype: str = "uint16") -> Channel:
    """One channel, with its own constants or another's."""
    (low, high), (mean, std) = RANGES[like or name], IMAGENET[like or name]
    steps = (Clip(low=low, high=high), Rescale(low=low, high=high))
    return Channel(
        name=name, input=dtype, steps=(*steps, Standardize(mean=mean, std=std))
    )


SPEC = Spec(channels=tuple(channel(name) for name in RANGES))


@dataclass(frozen=True)
class Swapped(Loader):
    """Reads HALO where RFP1 is wanted and the other way."""

    @cached_property
    def channel_keys(self) -> tuple[PlaneKey, ...]:
        first, second, *rest = super().channel_keys
        return (second, first, *rest)


@dataclass(frozen=True)
class SwappedAfter(Loader):
    """Exchanges two finished channels."""

    def units(self, site: Site, planes: Planes) -> Units:
        units = super().units(site, planes)
        return replace(units, images=units.images[:, [1, 0, 2]])


@dataclass(frozen=True)
class EightBit(Loader):
    """Reduces counts to 256 levels before anything else."""

    def raw(self, site: Site, planes: Planes) -> NDArray[Any]:
        return super().raw(site, planes) // 256 * 256


@dataclass(frozen=True)
class Applies(Loader):
    """Applies another spec than the one that it declares."""

    applied: Spec = SPEC

    def normalized(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        normalizer = Normalizer(self.applied)
        return np.stack([normalizer(list(window)) for window in windows_ncyx])


@dataclass(frozen=True)
class Twice(Loader):
    """Standardizes once more what has been normalized."""

    def normalized(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        once = super().normalized(windows_ncyx)
        return ((once - 0.485) / 0.229).astype(np.float32)


@dataclass(frozen=True)
class ResizeFirst(Loader):
    """Resizes raw counts, rounds, and normalizes then."""

    def from_raw(self, windows_ncyx: NDArray[Any]) -> NDArray[np.float32]:
        size = self.geometry.size
        small = [resize(w.astype(np.float32), (size, size)) for w in windows_ncyx]
        return self.normalized(np.rint(np.stack(small)).astype(np.uint16))


@dataclass(frozen=True)
class Shifted(Loader):
    """Cuts one pixel further down."""

    def raw(self, site: Site, planes: Planes) -> NDArray[Any]:
        return np.roll(super().raw(site, planes), 1, axis=2)


def masked_like_halo() -> Spec:
    """The incident: HALO_MASKED declared 0..238, HALO's constants applied."""
    return Spec(
        channels=(channel("RFP1"), channel("HALO"), channel("HALO_MASKED", like="HALO"))
    )


def other_percentiles() -> Spec:
    steps = (Clip(low=900, high=9016), Rescale(low=900, high=9016))
    steps = (*steps, Standardize(mean=0.485, std=0.229))
    first = Channel(name="RFP1", input="uint16", steps=steps)
    return Spec(channels=(first, *SPEC.channels[1:]))


FAULTS = [
    pytest.param(Swapped, {}, ["RFP1, HALO:", "reads"], id="swapped-files"),
    pytest.param(SwappedAfter, {}, ["RFP1, HALO:", "swapped"], id="swapped-channels"),
    pytest.param(EightBit, {}, ["give only", "8 bits"], id="8-bit"),
    pytest.param(
        Applies,
        {"applied": masked_like_halo()},
        [
            "in HALO_MASKED: in channel HALO_MASKED intensity",
            "applies HALO's constants",
        ],
        id="incident",
    ),
    pytest.param(
        Applies,
        {"applied": other_percentiles()},
        ["in RFP1: in channel RFP1 intensity", "900..9016, declared 963..9016"],
        id="wrong-percentiles",
    ),
    pytest.param(
        Twice, {}, ["RFP1, HALO, HALO_MASKED", "4.36681 times"], id="normalized-twice"
    ),
]


@pytest.mark.parametrize(("kind", "extra", "words"), FAULTS)
def test_a_faulty_loader_is_refused_with_channel_and_intensity(
    kind: type[Loader], extra: dict[str, Any], words: list[str]
) -> None:
    loader = kind(SPEC, TILES, 0, **extra)
    with pytest.raises(FingerprintMismatch) as refusal:
        probe.verify(loader)
    sentence = str(refusal.value)
    assert "intensity" in sentence
    assert "expected" in sentence
    for word in words:
        assert word in sentence
    assert probe.applied_fingerprint(loader) != probe.expected_fingerprint(SPEC, TILES)


@pytest.mark.parametrize("kind", [ResizeFirst, Shifted])
def test_a_fault_in_cutting_or_resizing_is_named_as_such(kind: type[Loader]) -> None:
    geometry = replace(TILES, kind="tile", border="reflect")
    with pytest.raises(FingerprintMismatch, match=r"channel (RFP1|HALO)") as refusal:
        probe.verify(kind(SPEC, geometry, 0))
    word = "normalize, then resize" if kind is ResizeFirst else "shifted or turned"
    assert word in str(refusal.value)


GEOMETRIES = [
    TILES,
    Geometry(kind="tile", window=40, size=40, border="reflect"),
    Geometry(kind="tile", window=33, size=64, border="zero"),
    Geometry(kind="site", size=224),
    Geometry(kind="cell", window=30, size=24),
    Geometry(kind="cell", window=31, size=24, border="reflect"),
    Geometry(kind="cell", window=30, size=31, border="zero"),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{g.kind}-{g.border}")
def test_an_honest_loader_has_the_expected_fingerprint(geometry: Geometry) -> None:
    loader = Loader(SPEC, geometry, 0)
    assert probe.verify(loader) == probe.expected_fingerprint(SPEC, geometry)


def test_types_may_be_mixed() -> None:
    halo = Channel(name="HALO", input="int16", steps=(Scale(gain=0.5, offset=1),))
    floats = Channel(name="F", input="float32", steps=(Clip(low=0, high=1),))
    spec = Spec(channels=(channel("RFP1"), halo, channel("HALO_MASKED", dtype="uint8")))
    assert probe.verify(Loader(spec, TILES, 0))
    assert probe.verify(Loader(Spec(channels=(floats, *spec.channels)), TILES, 0))


def test_steps_measured_on_each_sample_are_probed_too() -> None:
    step = StandardizeSample(
        scope="channel", fit_mask=Mask(), apply_mask=Mask(), outside="keep", eps=0,
        eps_placement="add", degenerate="zeros", ddof=0,
    )  # fmt: skip
    own = Channel(name="HALO", input="uint16", steps=(step,))
    spec = Spec(channels=(channel("RFP1"), own))
    found = probe.verify(Loader(spec, TILES, 0))
    assert found == probe.expected_fingerprint(spec, TILES)
    with pytest.raises(FingerprintMismatch, match="in HALO"):
        probe.verify(
            Applies(spec, TILES, 0, Spec(channels=(SPEC.channels[0], SPEC.channels[1])))
        )


def test_without_the_kernels_a_sample_step_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = StandardizeSample(
        scope="channel", fit_mask=Mask(), apply_mask=Mask(), outside="keep", eps=0,
        eps_placement="add", degenerate="zeros", ddof=0,
    )  # fmt: skip
    spec = Spec(channels=(Channel(name="A", input="uint16", steps=(step,)),))
    monkeypatch.setitem(sys.modules, "normgate.transform.apply", None)
    with pytest.raises(SpecError, match=r"normgate\[train\] is installed"):
        probe.expected_fingerprint(spec, TILES)


def test_fingerprints_tell_specs_and_geometries_apart() -> None:
    prints = {probe.expected_fingerprint(SPEC, geometry) for geometry in GEOMETRIES}
    prints.add(probe.expected_fingerprint(masked_like_halo(), TILES))
    prints.add(probe.expected_fingerprint(other_percentiles(), TILES))
    assert len(prints) == len(GEOMETRIES) + 2


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">", "bigtiff": True},
        {"tile": (64, 64), "compression": "lzw"},
        {"rowsperstrip": 7, "compression": "packbits"},
    ],
    ids=lambda options: "-".join(map(str, options)),
)
def test_the_probe_takes_the_format_of_the_data(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    like = tmp_path / "like.tif"
    layout = {k: options.pop(k) for k in ("byteorder", "bigtiff") if k in options}
    tifffile.imwrite(like, np.ones((90, 80), np.uint16), **layout, **options)
    assert probe.verify(Loader(SPEC, TILES, 0), like)


def test_a_page_of_a_stack_is_probed_as_a_page(tmp_path: Path) -> None:
    stack = tmp_path / "stack.ome.tif"
    tifffile.imwrite(stack, np.ones((3, 90, 80), np.uint16), photometric="minisblack")
    assert probe.verify(Loader(SPEC, TILES, 0), Path(f"{stack}#page=2"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_each_channel_has_every_value_and_its_own_order(dtype: Any) -> None:
    planes = [canonical(dtype, i, (256, 256)) for i in range(12)]
    for plane in planes:
        values, counts = np.unique(plane, return_counts=True)
        assert len(values) == np.iinfo(dtype).max - np.iinfo(dtype).min + 1
        assert len(set(counts)) == 1
    assert len({plane.tobytes() for plane in planes}) == len(planes)


def test_the_fingerprint_is_a_promise() -> None:
    geometry = Geometry(kind="tile", window=32, size=32)
    assert probe.expected_fingerprint(SPEC, geometry) == GOLDEN


GOLDEN = "c69b64be100f881b77e8b52f5af42e2756daa21092600b13af9b1e784fb5d986"


def test_a_server_without_imaging_readers_knows_what_is_expected() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'numba', 'tifffile', 'scipy', 'pandera'):\n"
        "    sys.modules[name] = None\n"
        "from normgate.contract import Channel, Clip, Spec\n"
        "from normgate.plates.geometry import Geometry\n"
        "from normgate.plates.probe import expected_fingerprint\n"
        "step = Clip(low=963, high=9016)\n"
        "spec = Spec(channels=(Channel(name='A', input='uint16', steps=(step,)),))\n"
        "geometry = Geometry(kind='tile', window=32, size=24)\n"
        "sys.stdout.write(expected_fingerprint(spec, geometry))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    steps = (Clip(low=963, high=9016),)
    spec = Spec(channels=(Channel(name="A", input="uint16", steps=steps),))
    assert run.stdout == probe.verify(Loader(spec, TILES, 0))
