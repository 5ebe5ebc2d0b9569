"""What a loader really applies, measured on the probe and held against its spec.

The probe is written in the data's own format (`write`; a .mcd, which only instruments
write, as .txt) and goes through the loader's reading, binding, normalizing and cutting.
Its channels stand in another order than the spec's, with one that the spec does not
know, and its second part has a declared scale. What a difference means is said by
`mismatch`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions import write
from normgate.acquisitions.geometry import CellGeometry
from normgate.acquisitions.mismatch import explain
from normgate.acquisitions.panel import Marker, marker_of
from normgate.acquisitions.place import Place
from normgate.acquisitions.probe import (
    FULL_SHAPE,
    Output,
    corners,
    expected_output,
    no_cells,
    probe_labels,
    probe_places,
    probe_planes,
    probe_shape,
)
from normgate.acquisitions.table import Acquisition
from normgate.errors import DataError, FingerprintMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.acquisitions.load import Loader
    from normgate.acquisitions.place import Format
    from normgate.contract import Spec

SCALE = 0.25
"""Declared in the row of the second part; a power of two rounds nothing."""
_STRANGER = "normgate.stranger"
_SUFFIX = {"tiff": ".tiff", "txt": ".txt", "hdf5": ".h5", "zarr": ".zarr"}


def like_of(acquisition: Acquisition) -> Format:
    """The format that stands for an acquisition's own."""
    return acquisition.image.format


def measure(loader: Loader, like: Format = "tiff") -> Output:
    """Send the probe through a loader.

    Args:
        loader: The loader in use.
        like: The format of the data's own files.

    Returns:
        What came out.
    """
    geometry = loader.geometry
    with tempfile.TemporaryDirectory(prefix="normgate-probe-") as name:
        folder = Path(name)
        whole = _probe(folder / "full", loader.spec, FULL_SHAPE, like)
        full_cyx = loader.normalized(loader.planes(loader.read(whole)), whole.name)
        shape = probe_shape(geometry)
        part = _probe(folder / "part", loader.spec, shape, like, scale=SCALE)
        loaded = loader.load(part)
    if isinstance(geometry, CellGeometry):
        assert loaded.labels_yx is not None
        graph = loader.graph(loaded.image_cyx, loaded.labels_yx)
        cells = graph.cells
        parts_n = loader.parts(probe_places(geometry))
        return Output(
            full_cyx, cells.means_nc, cells.positions_n2, graph.edges_2e, parts_n
        )
    grids = loader.grids(loaded.image_cyx)
    return Output(full_cyx, grids.nodes, corners(grids.boxes), *no_cells())


def applied_fingerprint(loader: Loader, like: Format = "tiff") -> str:
    """The fingerprint of what a loader really applies; see `measure`."""
    return measure(loader, like).fingerprint


def verify(loader: Loader, like: Format = "tiff") -> str:
    """Stop unless a loader applies what its spec and geometry declare.

    Args:
        loader: The loader in use.
        like: As in `measure`.

    Returns:
        The fingerprint, 64 hex digits.

    Raises:
        FingerprintMismatch: With the channel, an intensity, found and expected.
    """
    expected = expected_output(loader.spec, loader.geometry)
    try:
        found = measure(loader, like)
    except DataError as error:
        raise FingerprintMismatch(
            "the loader can't take acquisitions of every intensity, as where a panel "
            f"or a declared scale is not followed: {error}"
        ) from error
    if found.fingerprint != expected.fingerprint:
        raise FingerprintMismatch(
            explain(loader.spec, loader.geometry, found, expected)
        )
    return found.fingerprint


def _probe(
    folder: Path,
    spec: Spec,
    shape_yx: tuple[int, int],
    like: Format,
    scale: float | None = None,
) -> Acquisition:
    """Write the probe as an acquisition's files."""
    folder.mkdir()
    array_cyx, names = _shuffled(spec, shape_yx, scale)
    form: Format = "txt" if like == "mcd" else like
    path = folder / f"probe{_SUFFIX[form]}"
    panel = _write(path, form, array_cyx, names)
    mask = folder / "cells.tiff"
    labels_yx = probe_labels()
    if labels_yx.shape != shape_yx:
        labels_yx = np.ones(shape_yx, dtype=np.int64)
    write.write_mask(mask, labels_yx.astype(np.uint16))
    return Acquisition(
        slide="probe",
        patient="probe",
        acquisition="probe",
        split_group="probe",
        image=Place(path=path, format=form),
        panel=panel,
        mask=mask,
        scale=scale,
    )


def _shuffled(
    spec: Spec, shape_yx: tuple[int, int], scale: float | None
) -> tuple[NDArray[Any], list[str]]:
    """Planes in another order than the spec's, a stranger first, and their names."""
    planes = probe_planes(spec, shape_yx)
    order = range(len(planes))[::-1]
    types = {plane.dtype for plane in planes}
    dtype = types.pop() if len(types) == 1 and scale is None else np.dtype(np.float32)
    stranger = np.zeros(shape_yx, dtype=dtype)
    array_cyx = np.stack([stranger, *(planes[c].astype(dtype) for c in order)])
    if scale is not None:
        array_cyx = array_cyx / np.float32(scale)
    return array_cyx, [_STRANGER, *(spec.channels[c].name for c in order)]


def _write(
    path: Path, form: Format, array_cyx: NDArray[Any], names: list[str]
) -> Path | None:
    """Write planes and what names them; a panel's path where that is another file."""
    match form:
        case "hdf5":
            write.write_hdf5(path, {"probe": (array_cyx, names)})
        case "zarr":
            write.write_zarr(path, {"probe": (array_cyx, names)})
        case "txt" | "mcd":
            write.write_txt(path, array_cyx, _metals(names))
        case "tiff":
            write.write_tiff(path, array_cyx)
            panel = path.with_name("panel.csv")
            write.write_panel(panel, [Marker(name, name) for name in names])
            return panel
    return None


def _metals(names: list[str]) -> list[Marker]:
    """Markers with a metal each; where a name tells none, one that is no element."""
    found = [marker_of(name) for name in names]
    return [
        Marker(one.tag or f"Zz{1001 + n}", one.target) for n, one in enumerate(found)
    ]
