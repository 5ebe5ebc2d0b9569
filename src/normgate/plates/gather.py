"""A folder of prediction shards, brought together: one set of rows for each model.

Rows of two digests are never one model's: they are refused, each digest listed with
its rows and files. Shards may come in any order and cut; what is gathered is the same
to the bit.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from normgate.contract import short_digest
from normgate.errors import DataError, DigestMismatch
from normgate.plates.predictions import KEY, STAMPS, ShardMeta, read_meta, read_shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

JOB = "deploy.json"
"""Where a deployment wrote what it is of, and so how many shards it has."""
PATTERN = "part-*.parquet"
_PART = re.compile(r"part-(\d+)\.parquet")
_SITE = ("plate", "row", "column", "site")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPredictions:
    """All rows of one model, of one version and one normalization."""

    model: str
    version: str
    spec_digest: str
    manifest_digest: str
    meta: ShardMeta
    frame: pd.DataFrame
    """Sorted by plate, row, column, site, unit, replicate; without the stamps."""


def read_predictions(folder: Path) -> tuple[ModelPredictions, ...]:
    """Read every model's shards below a folder.

    Args:
        folder: Holds `<model>/part-00000.parquet`, ..., or is such a model's folder.

    Returns:
        One set of rows for each model that has any, by model name.

    Raises:
        DigestMismatch: Rows of different digests stand under one model, or models
            that normalize a channel of one name differently stand side by side.
        DataError: There is nothing to read, a shard is missing or damaged, or a row
            stands twice.
    """
    files = sorted(folder.glob(PATTERN)) or sorted(folder.glob(f"*/{PATTERN}"))
    if not files:
        msg = f"{folder} has no predictions (<model>/{PATTERN}); deploy into it first"
        raise DataError(msg)
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        by_folder[file.parent].append(file)
    _check_parts(by_folder, _promised(folder))
    models = [_model(parts) for parts in by_folder.values()]
    found = sorted(
        (model for model in models if model is not None), key=lambda one: one.model
    )
    if not found:
        raise DataError(
            f"{folder}: all shards are empty; see quarantine.csv beside them"
        )
    _check_models(found)
    return tuple(found)


def _promised(folder: Path) -> int:
    """How many shards a deployment means to write, by its job file; 0 without one."""
    path = folder / JOB
    if not path.is_file():
        return 0
    try:
        job = json.loads(path.read_bytes())
        sites, size = int(job["data"]["sites"]), int(job["settings"]["shard_sites"])
        return -(-sites // size)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        msg = f"{path} is not a deployment's job file ({error!r})"
        raise DataError(f"{msg}; deploy again into a new folder") from error


def _check_parts(by_folder: dict[Path, list[Path]], promised: int) -> None:
    """Refuse a hole in the numbers of the shards: a deployment was cut short."""
    numbers = {
        folder: {int(match[1]) for p in parts if (match := _PART.fullmatch(p.name))}
        for folder, parts in by_folder.items()
    }
    last = max((max(found) for found in numbers.values() if found), default=-1)
    for folder, found in numbers.items():
        missing = sorted(set(range(max(last + 1, promised))) - found)
        if missing:
            msg = (
                f"{folder} lacks part-{missing[0]:05d}.parquet ({len(missing)} missing)"
            )
            raise DataError(f"{msg}; run deploy again, which finishes what is left")


def _model(files: Sequence[Path]) -> ModelPredictions | None:
    """Gather the shards of one folder; None where none has a row."""
    tables = {file: read_shard(file) for file in files}
    tables = {file: table for file, table in tables.items() if len(table)}
    if not tables:
        return None
    _check_stamps(tables)
    metas = {file: read_meta(file) for file in tables}
    meta = _one_meta(metas)
    table = pa.concat_tables(
        table.replace_schema_metadata(None) for table in tables.values()
    ).unify_dictionaries()
    table = _decoded(table).sort_by([(name, "ascending") for name in KEY])
    stamps = {name: str(table[name][0].as_py()) for name in STAMPS}
    if stamps["model"] != files[0].parent.name:
        msg = f"{files[0].parent} holds rows of model {stamps['model']!r}"
        raise DataError(f"{msg}; name the folder as the model")
    frame = table.drop_columns(list(STAMPS)).to_pandas()
    _check_rows(frame, meta, files[0].parent)
    return ModelPredictions(
        **stamps, meta=meta, frame=frame.drop(columns=["input_digest"])
    )


def _decoded(table: pa.Table) -> pa.Table:
    """Keys as plain text: a dictionary would be sorted by its order of appearance."""
    for name in ("plate", "site"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table[name].cast(pa.string()))
    return table


def _one_meta(metas: dict[Path, ShardMeta]) -> ShardMeta:
    first, meta = next(iter(metas.items()))
    for file, other in metas.items():
        if other != meta:
            msg = f"{file} and {first.name} tell different classes or temperatures"
            raise DataError(
                f"{msg}: {other} and {meta}; deploy again into a new folder"
            )
    return meta


def _check_stamps(tables: dict[Path, pa.Table]) -> None:
    """Every row of a folder has one model, version, spec and manifest."""
    rows: dict[tuple[str, ...], int] = defaultdict(int)
    files: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, table in tables.items():
        counts = table.select(list(STAMPS)).group_by(list(STAMPS))
        for one in counts.aggregate([([], "count_all")]).to_pylist():
            stamp = tuple(str(one[name]) for name in STAMPS)
            rows[stamp] += one["count_all"]
            files[stamp].append(file.name)
    if len(rows) > 1:
        listed = "; ".join(
            f"model {stamp[0]} version {stamp[1]}, spec {short_digest(stamp[2])}, "
            f"manifest {short_digest(stamp[3])}: {rows[stamp]} rows in "
            f"{_some(files[stamp])}"
            for stamp in sorted(rows)
        )
        raise DigestMismatch(
            f"{next(iter(tables)).parent} mixes predictions of {len(rows)} models: "
            f"{listed}. Differently made predictions are not averaged: keep the files "
            "of one, or deploy one version over all plates into a new folder"
        )


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _check_models(models: Sequence[ModelPredictions]) -> None:
    """Channels of one name have one digest in all models."""
    for index, first in enumerate(models):
        for second in models[index + 1 :]:
            ours, theirs = first.meta.channels, second.meta.channels
            for name in sorted(ours.keys() & theirs.keys()):
                if ours[name] != theirs[name]:
                    raise DigestMismatch(
                        f"channel {name} has digest {short_digest(ours[name])} in "
                        f"{first.model} ({len(first.frame)} rows) and "
                        f"{short_digest(theirs[name])} in {second.model} "
                        f"({len(second.frame)} rows): the models saw differently "
                        "normalized pixels; deploy models of one contract together"
                    )


def _check_rows(frame: pd.DataFrame, meta: ShardMeta, folder: Path) -> None:
    """Each key once, each unit by every replicate, each site from one input."""
    same = _repeats(frame, KEY)
    if same.any():
        row = frame.iloc[int(np.flatnonzero(same)[0]) + 1]
        place = f"plate {row['plate']} well {row['well']} site {row['site']}"
        msg = f"{folder}: {place} unit {row['unit']} replicate {row['replicate']}"
        raise DataError(f"{msg} stands twice ({int(same.sum())} repeats); keep one")
    units = len(frame) - int(_repeats(frame, KEY[:-1]).sum())
    if units * len(meta.temperatures) != len(frame):
        msg = f"{folder}: {len(frame)} rows for {units} units, expected "
        msg += f"{len(meta.temperatures)} replicates of each"
        raise DataError(f"{msg}; deploy again into a new folder")
    mixed = _repeats(frame, _SITE) & ~_repeats(frame, ("input_digest",))
    if mixed.any():
        row = frame.iloc[int(np.flatnonzero(mixed)[0])]
        place = f"plate {row['plate']} well {row['well']} site {row['site']}"
        raise DigestMismatch(
            f"{folder}: {place} was predicted from two versions of its images "
            f"({int(mixed.sum())} site(s)); deploy again into a new folder"
        )


def _repeats(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each row but the first has the values of the one before it."""
    same = np.ones(max(len(frame) - 1, 0), dtype=np.bool_)
    for name in names:
        values = frame[name].to_numpy()
        same &= values[1:] == values[:-1]
    return same
