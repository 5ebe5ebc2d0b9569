"""What a loader really applies, measured on the probe and held against its spec.

The probe's files are written as the data's own are (`imitate`), and go through the
loader's reading, cutting, normalizing and resizing. What a difference means is said by
`mismatch`.
"""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from normgate.contract.files import write_atomic
from normgate.errors import DataError, FingerprintMismatch
from normgate.plates.imitate import write_like
from normgate.plates.mismatch import explain
from normgate.plates.probe import (
    FULL_SIZE,
    SIDE,
    Output,
    expected_output,
    probe_centers,
    probe_planes,
    probe_shape,
)
from normgate.plates.read import read_header
from normgate.plates.sites import CELLS, PlaneKey, Site, bind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normgate.plates.load import Loader, Units


MOST_TRIED = 100
"""Sites that are looked at for a file that can be opened."""


def readable_file(loader: Loader, places: Iterable[Site]) -> Path | None:
    """The first file of the data that can be opened; the probe takes its format."""
    for site in islice(places, MOST_TRIED):
        for key in loader.channel_keys:
            path = site.planes.get(key)
            try:
                if path is not None:
                    read_header(path)
                    return path
            except DataError:
                continue
    return None


def measure(loader: Loader, like: Path | None = None) -> Output:
    """Send the probe through a loader.

    Args:
        loader: The loader in use.
        like: One of the data's own planes, by its name, whose format the probe takes;
            plain TIFF without it.

    Returns:
        What came out.
    """
    full = _units(loader.with_geometry(FULL_SIZE), (SIDE, SIDE), like)
    cut = _units(loader, probe_shape(loader.geometry), like)
    return Output(
        full_cyx=full.images.reshape(-1, *full.images.shape[2:]),
        units_ncyx=cut.images,
        keys=tuple((key.unit, key.y, key.x) for key in cut.keys),
    )


def verify(loader: Loader, like: Path | None = None) -> str:
    """Stop unless a loader applies what its spec and geometry declare.

    Args:
        loader: The loader in use.
        like: As in `measure`.

    Returns:
        The fingerprint, 64 hex digits.

    Raises:
        FingerprintMismatch: With the channel, an intensity, found and expected.
    """
    found = measure(loader, like)
    expected = expected_output(loader.spec, loader.geometry)
    if found.fingerprint != expected.fingerprint:
        raise FingerprintMismatch(explain(loader.spec, found, expected))
    return found.fingerprint


def _units(loader: Loader, shape_yx: tuple[int, int], like: Path | None) -> Units:
    """Write the probe as a site of files and load it."""
    keys = bind(loader.spec, loader.timepoint_ms)
    planes = probe_planes(loader.spec, shape_yx)
    with tempfile.TemporaryDirectory(prefix="normgate-probe-") as name:
        files = {
            key: write_like(Path(name), f"{index}", plane, like)
            for index, (key, plane) in enumerate(zip(keys, planes, strict=True))
        }
        if loader.geometry.kind == "cell":
            files[PlaneKey(CELLS, keys[0].timepoint_ms)] = _centers(Path(name), loader)
        site = _site(files)
        return loader.units(site, loader.read(site))


def _site(files: dict[PlaneKey, Path]) -> Site:
    return Site(
        plate="probe",
        well="A01",
        row=1,
        column=1,
        site="1",
        genotype="",
        treatment="",
        label="",
        split_group="probe",
        planes=files,
    )


def _centers(folder: Path, loader: Loader) -> Path:
    lines = [f"{unit},{y},{x}" for unit, y, x in probe_centers(loader.geometry)]
    path = folder / "centers.csv"
    write_atomic(path, "\n".join(["unit,y,x", *lines, ""]).encode())
    return path
