"""The units of one training: read, normalized and resized once, then mapped from disk.

Files -> `Loader` -> float32 units in `units.npy`, in a cache folder that is named by
spec, geometry, timepoint and sites, and is valid only while every input file has the
digest it was made from. Replicates, and presets that share all of these, share it.
Corrupt pictures are quarantined: their site gives no units, and the reason is kept.

Axes: n units, c channels, y rows, x columns.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import spec_digest, write_atomic
from normgate.engine.growing import GrowingArray
from normgate.errors import CorruptImage, DataError
from normgate.plates.read import plane_digest
from normgate.transform.histogram import IntegerHistogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.families.plate.selection import Labelled
    from normgate.plates.load import Loader, Site, UnitKey

_logger = logging.getLogger(__name__)
FORMAT = "normgate.units/1"
FAILED_SHARE = 0.5
"""Share of sites in quarantine beyond which there is no use in training."""
THREADS = 4
_AHEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateUnits:
    """All units of a training."""

    images: NDArray[np.float32]
    """(n, c, size, size), mapped from disk."""
    labels: NDArray[np.int64]
    """Class numbers, (n,)."""
    groups: NDArray[np.str_]
    """Split group of each unit, (n,)."""
    raw_counts: tuple[NDArray[np.int64] | None, ...]
    """Per channel, how often each raw value occurs; None for float32 input."""
    channels: tuple[str, ...]
    quarantined: tuple[str, ...]
    """One sentence for each site that gave no units."""
    digest: str
    """SHA-256 over everything that the units were made from."""


def prepare(loader: Loader, labelled: Sequence[Labelled], cache: Path) -> PlateUnits:
    """Make the units of labelled sites, or find them made.

    Args:
        loader: Spec, geometry and timepoint.
        labelled: The sites, with their classes.
        cache: Where folders of units are kept.

    Raises:
        DataError: A picture is not raw counts of its channel, or most are corrupt.
    """
    sites = [one.site for one in labelled]
    folder = cache / _key(loader, sites)
    with ThreadPoolExecutor(THREADS) as pool:
        inputs = list(pool.map(lambda site: _input_digest(loader, site), sites))
        meta = _read_meta(folder, inputs)
        if meta is None:
            _build(folder, loader, sites, inputs, pool)
            meta = _read_meta(folder, inputs)
    if meta is None:
        raise DataError(f"{folder} changed while it was made; run again")
    return _units(folder, meta, loader, labelled)


@dataclass(frozen=True, slots=True)
class _SiteUnits:
    raw_ncyx: NDArray[Any]
    images_ncyx: NDArray[np.float32]
    keys: tuple[UnitKey, ...]


def _key(loader: Loader, sites: Sequence[Site]) -> str:
    document = {
        "format": FORMAT,
        "spec": spec_digest(loader.spec),
        "geometry": loader.geometry.digest,
        "timepoint_ms": loader.timepoint_ms,
        "sites": [[site.plate, site.well, site.site] for site in sites],
    }
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _input_digest(loader: Loader, site: Site) -> str:
    """SHA-256 over the files of a site; `absent` stands for one that can't be read."""
    total = hashlib.sha256()
    for key in loader.keys:
        path = site.planes.get(key)
        found = "absent" if path is None else plane_digest(path)
        total.update(f"{key} {found}\n".encode())
    return total.hexdigest()


def _build(
    folder: Path,
    loader: Loader,
    sites: Sequence[Site],
    inputs: Sequence[str],
    pool: ThreadPoolExecutor,
) -> None:
    """Write a folder of units; `meta.json`, written last, says that it is complete."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    histograms = [
        None if channel.input == "float32" else IntegerHistogram(channel.input)
        for channel in loader.spec.channels
    ]
    counts: list[int] = []
    quarantined: dict[int, str] = {}
    with GrowingArray(folder / "units.npy") as file:
        for number, made in enumerate(_in_order(loader, sites, pool)):
            if isinstance(made, CorruptImage):
                quarantined[number] = str(made)
                counts.append(0)
                continue
            counts.append(len(made.keys))
            file.add(made.images_ncyx)
            _count(histograms, loader, made.raw_ncyx)
        _refuse_failed(quarantined, len(sites))
        shape = file.shape
    _write_counts(folder, histograms)
    meta = {
        "format": FORMAT,
        "inputs": list(inputs),
        "counts": counts,
        "quarantined": {str(key): text for key, text in quarantined.items()},
        "shape": list(shape),
    }
    write_atomic(folder / "meta.json", (json.dumps(meta) + "\n").encode())
    _logger.info("%d units of %d sites normalized", shape[0], len(sites))


def _in_order(
    loader: Loader, sites: Sequence[Site], pool: ThreadPoolExecutor
) -> Iterator[_SiteUnits | CorruptImage]:
    for start in range(0, len(sites), _AHEAD):
        some = sites[start : start + _AHEAD]
        yield from pool.map(lambda site: _load(loader, site), some)


def _load(loader: Loader, site: Site) -> _SiteUnits | CorruptImage:
    try:
        planes = loader.read(site)
        raw = loader.raw(site, planes)
        return _SiteUnits(raw, loader.from_raw(raw), loader.unit_keys(site, planes))
    except CorruptImage as error:
        _logger.warning("quarantined: %s", error)
        return error


def _count(
    histograms: Sequence[IntegerHistogram | None],
    loader: Loader,
    raw_ncyx: NDArray[Any],
) -> None:
    for index, histogram in enumerate(histograms):
        if histogram is not None:
            counts = raw_ncyx[:, index].astype(loader.spec.channels[index].input)
            histogram.add(counts)


def _refuse_failed(quarantined: dict[int, str], total: int) -> None:
    if len(quarantined) > FAILED_SHARE * total:
        first = next(iter(quarantined.values()))
        raise DataError(
            f"{len(quarantined)} of {total} sites can't be read, the first because "
            f"{first}; mend the files before training"
        )


def _write_counts(folder: Path, histograms: Sequence[IntegerHistogram | None]) -> None:
    for index, histogram in enumerate(histograms):
        if histogram is not None:
            write_atomic(folder / f"counts_{index}.npz", histogram.to_bytes())


def _read_meta(folder: Path, inputs: Sequence[str]) -> dict[str, Any] | None:
    """What a complete folder says; None where it must be made (again)."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    same = meta.get("format") == FORMAT and meta.get("inputs") == list(inputs)
    return meta if same else None


def _units(
    folder: Path, meta: dict[str, Any], loader: Loader, labelled: Sequence[Labelled]
) -> PlateUnits:
    if meta["shape"][0] == 0:
        raise DataError(
            "no site gives a unit; see whether the window fits the pictures"
        )
    repeats = np.array(meta["counts"])
    labels = np.repeat(np.array([one.label for one in labelled]), repeats)
    groups = np.repeat(np.array([one.site.split_group for one in labelled]), repeats)
    identity = {key: meta[key] for key in ("inputs", "counts", "shape")}
    identity |= {"folder": folder.name, "labels": labels.tolist()}
    text = json.dumps(identity, sort_keys=True)
    return PlateUnits(
        images=np.load(folder / "units.npy", mmap_mode="r"),
        labels=labels.astype(np.int64),
        groups=groups,
        raw_counts=tuple(
            _read_counts(folder / f"counts_{index}.npz")
            for index in range(len(loader.spec.channels))
        ),
        channels=loader.spec.names,
        quarantined=tuple(meta["quarantined"].values()),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _read_counts(path: Path) -> NDArray[np.int64] | None:
    if not path.exists():
        return None
    return IntegerHistogram.from_bytes(path.read_bytes()).counts
