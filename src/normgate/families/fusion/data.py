"""The patches of one training: read, judged, normalized and cut once, mapped from disk.

Files -> `Loader` -> patches in a cache folder that spec, geometry and cases name; it
is valid only while every input file has the digest it was made from. The audit of
the normalization is made on the way, before any training. Cases whose files can't be
read are quarantined; a pair that does not belong together, or a CT that is not in HU,
ends the training with its sentence.

Axes: n patches, c channels in the network's order (`channels`), m masks (brain, bone,
lesion), then the patch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.contract import spec_digest, write_atomic
from normgate.engine.growing import GrowingArray
from normgate.errors import CorruptImage, DataError
from normgate.families.fusion.channels import condition_order
from normgate.gate.vitals import vital_from_record
from normgate.plates.progress import LoggedProgress
from normgate.volumes.audit import Audit, audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.volumes.cases import Case
    from normgate.volumes.load import LoadedCase, Loader

_logger = logging.getLogger(__name__)
FORMAT = "normgate.patches/1"
_FILES = {"images": "<f4", "masks": "|b1", "hu": "<f4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionUnits:
    """All patches of a training."""

    images: NDArray[np.float32]
    """(n, c, *patch), normalized, mapped from disk."""
    masks: NDArray[np.bool_]
    """(n, m, *patch), mapped from disk."""
    hu: NDArray[np.float32]
    """(n, *patch): the CT in HU, mapped from disk."""
    cases: NDArray[np.str_]
    """Case of each patch, (n,)."""
    groups: NDArray[np.str_]
    """Split group (patient) of each patch, (n,)."""
    hu_gain: NDArray[np.float64]
    """(n,): the normalized reference CT is gain * HU + offset within its clip."""
    hu_offset: NDArray[np.float64]
    lesion_known: NDArray[np.bool_]
    """(n,): whether the case's file tells of its lesion, or of none."""
    audit: Audit
    """Of the normalization, over the foreground of all cases."""
    notes: tuple[str, ...]
    """What a person should know of single cases."""
    quarantined: tuple[str, ...]
    """A sentence for each case that gave no patches."""
    digest: str
    """SHA-256 over everything that the patches were made from."""


def prepare(loader: Loader, cases: Sequence[Case], cache: Path) -> FusionUnits:
    """Make the patches of cases, or find them made.

    Args:
        loader: Spec and geometry.
        cases: The cases, in the table's order.
        cache: Where folders of patches are kept.

    Raises:
        DataError: A pair or a CT can't be used, or most cases can't be read.
        SpecError: The spec lacks MRI or CT, or a CT channel can't be undone.
    """
    folder = cache / _key(loader, cases)
    inputs = [_input_digest(case) for case in cases]
    meta = _read_meta(folder, inputs)
    if meta is None:
        _build(folder, loader, cases, inputs)
        meta = _read_meta(folder, inputs)
    if meta is None:
        raise DataError(f"{folder} changed while it was made; run again")
    return _units(folder, meta)


def _key(loader: Loader, cases: Sequence[Case]) -> str:
    document = {
        "format": FORMAT,
        "spec": spec_digest(loader.spec),
        "geometry": loader.geometry.digest,
        "cases": [[case.case, case.split_group] for case in cases],
    }
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _input_digest(case: Case) -> str:
    """SHA-256 over a case's files; `absent` stands for one that can't be read."""
    try:
        return case.input_digest()
    except CorruptImage:
        return "absent"


def _build(
    folder: Path, loader: Loader, cases: Sequence[Case], inputs: Sequence[str]
) -> None:
    """Write a folder of patches; `meta.json`, written last, says it is complete."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    quarantined: list[str] = []
    rows: list[dict[str, Any]] = []
    progress = LoggedProgress("read", "cases")
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(GrowingArray(folder / f"{name}.npy", dtype))
            for name, dtype in _FILES.items()
        }
        loaded = loader.each(cases, quarantined, progress)
        found = audit(loader, _written(loader, loaded, files, rows))
    meta = {
        "format": FORMAT,
        "inputs": list(inputs),
        "rows": rows,
        "quarantined": quarantined,
        "vitals": [vital.record() for vital in found.vitals],
        "power_share": found.power_share,
    }
    write_atomic(folder / "meta.json", (json.dumps(meta) + "\n").encode())
    _logger.info("%d cases normalized, %d quarantined", len(rows), len(quarantined))


def _written(
    loader: Loader,
    loaded: Iterator[LoadedCase],
    files: dict[str, GrowingArray],
    rows: list[dict[str, Any]],
) -> Iterator[LoadedCase]:
    """Write each case's patches and hand the case on."""
    order = condition_order(loader.spec)
    for one in loaded:
        patches = loader.patches(one)
        files["images"].add(patches.images[:, list(order)])
        files["masks"].add(patches.masks)
        files["hu"].add(patches.hu)
        undo = loader.inverses(one.pair)[order[1]]
        rows.append(
            {
                "case": one.case.case,
                "group": one.case.split_group,
                "patches": len(patches.boxes),
                "gain": undo.gain,
                "offset": undo.offset,
                "lesion_known": one.lesion_known,
                "notes": [f"{one.case.name}: {note}" for note in one.pair.notes],
            }
        )
        yield one


def _read_meta(folder: Path, inputs: Sequence[str]) -> dict[str, Any] | None:
    """What a complete folder says; None where it must be made (again)."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    same = meta.get("format") == FORMAT and meta.get("inputs") == list(inputs)
    return meta if same else None


def _units(folder: Path, meta: dict[str, Any]) -> FusionUnits:
    rows = meta["rows"]
    repeats = np.array([row["patches"] for row in rows])

    def of_patches(key: str, dtype: type) -> NDArray[Any]:
        return np.repeat(np.array([row[key] for row in rows], dtype=dtype), repeats)

    identity = json.dumps(
        {"inputs": meta["inputs"], "rows": rows, "folder": folder.name}, sort_keys=True
    )
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FILES}
    return FusionUnits(
        images=arrays["images"],
        masks=arrays["masks"],
        hu=arrays["hu"],
        cases=of_patches("case", str),
        groups=of_patches("group", str),
        hu_gain=of_patches("gain", float),
        hu_offset=of_patches("offset", float),
        lesion_known=of_patches("lesion_known", bool),
        audit=Audit(
            vitals=tuple(map(vital_from_record, meta["vitals"])),
            power_share=meta["power_share"],
        ),
        notes=tuple(note for row in rows for note in row["notes"]),
        quarantined=tuple(meta["quarantined"]),
        digest=hashlib.sha256(identity.encode()).hexdigest(),
    )
