"""Acquisitions to the units of a training: read once, kept on disk, quarantined if bad.

A folder of units is keyed by spec, geometry and the acquisitions' names, and holds good
while the bytes of every input are the same. `meta.json`, written last, says that it is
complete. Raw and normalized nodes are cut alike, so that reconstructions can be judged
in raw values.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.cells import cells_of
from normgate.contract import spec_digest, write_atomic
from normgate.errors import CorruptImage, DataError
from normgate.families.imc.space import sample_statistics
from normgate.families.imc.units import ImcUnits
from normgate.plates.progress import LoggedProgress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.acquisitions.load import Loaded, Loader
    from normgate.acquisitions.table import Acquisition

_logger = logging.getLogger(__name__)
FORMAT = "normgate.imc.units/1"
ABSENT = "absent"
_ARRAYS = ("raw", "images", "measured", "clean", "joined")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one acquisition beside its image."""

    density: float
    clean_cyx: NDArray[np.float32]
    """Raw values without noise, in the spec's order of channels."""


def prepare(
    loader: Loader,
    acquisitions: Sequence[Acquisition],
    cache: Path,
    known: Mapping[str, Known] | None = None,
) -> ImcUnits:
    """Make the units of acquisitions, or find them made.

    Args:
        loader: Spec and geometry: a grid of as many rows as columns, or cells.
        acquisitions: In the table's order.
        cache: Where folders of units are kept.
        known: By acquisition, of simulated ones.

    Raises:
        DataError: No acquisition gives a unit, a value does not fit its channel, or
            most are corrupt.
    """
    inputs = [_input_digest(one) for one in acquisitions]
    folder = cache / _key(loader, acquisitions, known is not None)
    meta = _read_meta(folder, inputs)
    if meta is None:
        _build(folder, loader, acquisitions, inputs, known or {})
        meta = _read_meta(folder, inputs)
    if meta is None:
        raise DataError(f"{folder} changed while it was made; run again")
    return _units(folder, meta, loader, acquisitions)


def _key(loader: Loader, acquisitions: Sequence[Acquisition], simulated: bool) -> str:
    document = {
        "format": FORMAT,
        "spec": spec_digest(loader.spec),
        "geometry": loader.geometry.digest,
        "acquisitions": [one.acquisition for one in acquisitions],
        "simulated": simulated,
    }
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _input_digest(acquisition: Acquisition) -> str:
    """SHA-256 of an acquisition's files; `absent` for one that can't be read."""
    try:
        return acquisition.input_digest()
    except CorruptImage:
        return ABSENT


def _build(
    folder: Path,
    loader: Loader,
    acquisitions: Sequence[Acquisition],
    inputs: Sequence[str],
    known: Mapping[str, Known],
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    quarantined: list[str] = []
    made = {
        one.acquisition.acquisition: _made(loader, one, known)
        for one in loader.each(
            acquisitions, quarantined, LoggedProgress("read", "acquisitions")
        )
    }
    for sentence in quarantined:
        _logger.warning("quarantined: %s", sentence)
    if not any(len(one["raw"]) for one in made.values()):
        raise DataError(
            "no acquisition gives a unit; see whether the grid fits them, or whether "
            "their masks hold cells"
        )
    for name in _ARRAYS:
        arrays = [one[name] for one in made.values() if name in one]
        if arrays:
            np.save(folder / f"{name}.npy", np.concatenate(arrays))
    counts = {name: len(one["raw"]) for name, one in made.items()}
    meta = {
        "format": FORMAT,
        "inputs": list(inputs),
        "counts": counts,
        "density": {name: known[name].density for name in made if name in known},
        "quarantined": quarantined,
    }
    write_atomic(folder / "meta.json", (json.dumps(meta) + "\n").encode())
    total = sum(counts.values())
    _logger.info("%d units of %d acquisitions normalized", total, len(made))


def _made(
    loader: Loader, loaded: Loaded, known: Mapping[str, Known]
) -> dict[str, NDArray[Any]]:
    """The arrays of one acquisition's units."""
    raw = np.stack([plane.astype(np.float32) for plane in loaded.planes])
    own = sample_statistics(loader.spec, loaded.planes)
    name = loaded.acquisition.acquisition
    if loaded.labels_yx is None:
        grids = loader.grids
        found = {"raw": grids(raw).nodes, "images": grids(loaded.image_cyx).nodes}
    else:
        found = _cells(loader, loaded.image_cyx, raw, loaded.labels_yx)
    found["measured"] = np.repeat(own[None], len(found["raw"]), axis=0)
    if name in known and loaded.labels_yx is None:
        found["clean"] = loader.grids(known[name].clean_cyx).nodes
    return found


def _cells(
    loader: Loader,
    image_cyx: NDArray[np.float32],
    raw_cyx: NDArray[np.float32],
    labels_yx: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """The arrays of an acquisition's units of cells: means of a cell's pixels."""
    graph = loader.graph(image_cyx, labels_yx)
    units = loader.neighbourhoods(graph)

    def columns(means_nc: NDArray[np.float32]) -> NDArray[np.float32]:
        return units.gathered(means_nc).transpose(0, 2, 1)[..., None]

    return {
        "raw": columns(cells_of(raw_cyx, labels_yx).means_nc),
        "images": columns(graph.cells.means_nc),
        "joined": units.joined_unn,
    }


def _read_meta(folder: Path, inputs: Sequence[str]) -> dict[str, Any] | None:
    """What a complete folder says; None where it must be made (again)."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    same = meta.get("format") == FORMAT and meta.get("inputs") == list(inputs)
    return meta if same else None


def _units(
    folder: Path,
    meta: dict[str, Any],
    loader: Loader,
    acquisitions: Sequence[Acquisition],
) -> ImcUnits:
    counts = meta["counts"]
    kept = [one for one in acquisitions if counts.get(one.acquisition)]
    repeats = [counts[one.acquisition] for one in kept]
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r")
        for name in _ARRAYS
        if (folder / f"{name}.npy").exists()
    }
    labels: dict[str, NDArray[Any]] = {}
    if all(one.label for one in kept):
        labels["class"] = np.repeat(np.array([one.label for one in kept]), repeats)
    density = meta["density"]
    if all(one.acquisition in density for one in kept):
        values = np.array([density[one.acquisition] for one in kept])
        labels["density"] = np.repeat(values, repeats)
    identity = {key: meta[key] for key in ("inputs", "counts")} | {"key": folder.name}
    return ImcUnits(
        spec=loader.spec,
        raw=arrays["raw"],
        images=arrays["images"],
        measured=np.asarray(arrays["measured"]),
        groups=np.repeat(np.array([one.split_group for one in kept]), repeats),
        names=np.repeat(np.array([one.acquisition for one in kept]), repeats),
        digest=hashlib.sha256(
            json.dumps(identity, sort_keys=True).encode()
        ).hexdigest(),
        labels=labels,
        clean=arrays.get("clean"),
        joined=arrays.get("joined"),
        quarantined=tuple(meta["quarantined"]),
    )
