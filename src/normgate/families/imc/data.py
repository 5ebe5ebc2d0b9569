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
_ARRAYS = ("raw", "images", "measured", "clean")


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
        loader: Spec and geometry, a grid of as many rows as columns.
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
        raise DataError("no acquisition gives a unit; see whether the grid fits them")
    for name in _ARRAYS:
        arrays = [one[name] for one in made.values() if name in one]
        if arrays:
            np.save(folder / f"{name}.npy", np.concatenate(arrays))
    meta = {
        "format": FORMAT,
        "inputs": list(inputs),
        "counts": {name: len(one["raw"]) for name, one in made.items()},
        "density": {name: known[name].density for name in made if name in known},
        "quarantined": quarantined,
    }
    write_atomic(folder / "meta.json", (json.dumps(meta) + "\n").encode())
    total = sum(meta["counts"].values())
    _logger.info("%d units of %d acquisitions normalized", total, len(made))


def _made(
    loader: Loader, loaded: Loaded, known: Mapping[str, Known]
) -> dict[str, NDArray[Any]]:
    """The arrays of one acquisition's units."""
    raw = np.stack([plane.astype(np.float32) for plane in loaded.planes])
    nodes = loader.grids(loaded.image_cyx).nodes
    own = sample_statistics(loader.spec, loaded.planes)
    found = {
        "raw": loader.grids(raw).nodes,
        "images": nodes,
        "measured": np.repeat(own[None], len(nodes), axis=0),
    }
    name = loaded.acquisition.acquisition
    if name in known:
        found["clean"] = loader.grids(known[name].clean_cyx).nodes
    return found


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
        quarantined=tuple(meta["quarantined"]),
    )
