"""OME-Zarr plates of either version, written by hand as the specification has them.

Where ome-zarr-models is installed a test holds these plates against its models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
TYPES = {"t": "time", "c": "channel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One plate to write."""

    version: str = "0.5"
    name: str = "P1"
    wells: tuple[str, ...] = ("B/2", "B/3")
    images: tuple[str, ...] = ("0", "1")
    labels: tuple[str, ...] = ("RFP1", "HALO")
    axes: str = "tczyx"
    times: int = 1
    steps: int = 1
    side: int = 64
    dtype: str = "uint16"
    seconds: float = 10.0
    cells: str = ""
    """Name of a label image."""
    options: tuple[tuple[str, Any], ...] = ()
    """More arguments of `zarr.create_array`."""


def write(folder: Path, plate: Plate) -> Path:
    """Write a plate; returns its store."""
    store = folder / f"{plate.name}.zarr"
    rows = sorted({well.partition("/")[0] for well in plate.wells})
    columns = sorted({well.partition("/")[2] for well in plate.wells}, key=int)
    wells = []
    for name in plate.wells:
        row, _, column = name.partition("/")
        at = {"rowIndex": rows.index(row), "columnIndex": columns.index(column)}
        wells.append({"path": name, **at})
    own = {
        "columns": [{"name": name} for name in columns],
        "rows": [{"name": name} for name in rows],
        "wells": wells,
        "name": plate.name,
        "field_count": len(plate.images),
        "version": plate.version,
    }
    group(store, plate, {"plate": own})
    for row in rows:
        group(store / row, plate, {})
    for name in plate.wells:
        images = [{"path": image} for image in plate.images]
        group(store / name, plate, {"well": {"images": images} | version_of(plate)})
        for image in plate.images:
            write_image(store / name / image, plate)
    return store


def write_image(folder: Path, plate: Plate) -> None:
    """One field of view, in two resolutions; its counts follow from its path."""
    own: dict[str, Any] = {"multiscales": [pyramid(plate, plate.axes)]}
    if plate.labels:
        colour = {"color": "FFFFFF", "window": window()}
        own["omero"] = {"channels": [{"label": n, **colour} for n in plate.labels]}
    group(folder, plate, own)
    full = counts(folder, plate)
    for level, step in (("0", 1), ("1", 2)):
        create(folder / level, plate, plate.axes, full[..., ::step, ::step])
    if plate.cells:
        axes = plate.axes.replace("c", "")
        group(folder / "labels", plate, {"labels": [plate.cells]})
        image = {"multiscales": [pyramid(plate, axes)]}
        group(folder / "labels" / plate.cells, plate, image | label_of(plate))
        cells = np.zeros(sides(plate, axes), dtype="uint16")
        cells[..., 10:20, 12:22], cells[..., 40:50, 30:40] = 1, 2
        for level, step in (("0", 1), ("1", 2)):
            place = folder / "labels" / plate.cells / level
            create(place, plate, axes, cells[..., ::step, ::step])


def counts(folder: Path, plate: Plate) -> NDArray[Any]:
    """The counts of one image, known from its place on the plate."""
    key = "/".join(folder.parts[-3:]).encode()
    rng = np.random.default_rng(int.from_bytes(key, "big"))
    most = np.iinfo(plate.dtype).max
    return rng.integers(1, most, sides(plate, plate.axes)).astype(plate.dtype)


def sides(plate: Plate, axes: str) -> tuple[int, ...]:
    of = {"t": plate.times, "c": max(len(plate.labels), 1), "z": plate.steps}
    return tuple(of.get(axis, plate.side) for axis in axes)


def pyramid(plate: Plate, axes: str) -> dict[str, Any]:
    levels = []
    for level in (0, 1):
        scale = [of_axis(axis, plate, level) for axis in axes]
        steps = [{"type": "scale", "scale": scale}]
        levels.append({"path": str(level), "coordinateTransformations": steps})
    named = [
        {"name": a, "type": TYPES.get(a, "space")}
        | ({"unit": UNITS[a]} if a in UNITS else {})
        for a in axes
    ]
    return {"axes": named, "datasets": levels, "name": "image"} | version_of(plate)


def of_axis(axis: str, plate: Plate, level: int) -> float:
    if axis == "t":
        return plate.seconds
    return 0.5 * 2**level if axis in "yx" else 1.0


def window() -> dict[str, float]:
    return {"min": 0, "max": 65535, "start": 0, "end": 1500}


def version_of(plate: Plate) -> dict[str, str]:
    """In 0.4 every block bears the version; in 0.5 the group does, once."""
    return {"version": plate.version} if plate.version == "0.4" else {}


def label_of(plate: Plate) -> dict[str, Any]:
    return {"image-label": {"source": {"image": "../../"}} | version_of(plate)}


def group(folder: Path, plate: Plate, attributes: dict[str, Any]) -> None:
    """One group with its metadata, where its format keeps them."""
    folder.mkdir(parents=True)
    if plate.version == "0.4":
        put(folder / ".zgroup", {"zarr_format": 2})
        put(folder / ".zattrs", attributes)
        return
    ome = {"version": plate.version, **attributes}
    document = {"zarr_format": 3, "node_type": "group"}
    put(folder / "zarr.json", document | {"attributes": {"ome": ome}})


def create(folder: Path, plate: Plate, axes: str, values: NDArray[Any]) -> None:
    """One array of a pyramid, a plane or a quarter of one in each chunk."""
    chunks = (1,) * (values.ndim - 2) + (32, 32)
    options: dict[str, Any] = {"chunks": chunks, **dict(plate.options)}
    if plate.version == "0.4":
        encoding = {"name": "v2", "separator": "/"}
        options = {"chunk_key_encoding": encoding, **options}
    else:
        options["dimension_names"] = list(axes)
    array = zarr.create_array(
        str(folder), shape=values.shape, dtype=values.dtype,
        zarr_format=2 if plate.version == "0.4" else 3, **options,
    )  # fmt: skip
    array[...] = values


def put(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))


def edit(path: Path, change: Any) -> None:
    """Change a metadata document in place."""
    document = json.loads(path.read_text())
    change(document)
    put(path, document)
