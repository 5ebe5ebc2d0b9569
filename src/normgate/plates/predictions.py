"""Prediction shards: `<out>/<model>/part-00000.parquet`, written whole, read strictly.

A row is one unit seen by one replicate of one model. It carries its own key (plate,
well, site, unit, replicate) and stamps (model, version, spec, manifest and input
digests), so that nothing is ever joined by order. Reading brings the rows into the
order of their keys, whatever the shards were, and refuses to mix digests.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from normgate.contract.files import write_atomic
from normgate.errors import DataError
from normgate.plates.well_score import WORDS
from normgate.plates.wells import parse_well

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

FORMAT = "normgate.predictions/1"
KEY = ("plate", "row", "column", "site", "unit", "replicate")
STAMPS = ("model", "version", "spec_digest", "manifest_digest")
_METADATA = b"normgate"
_FIELDS = {
    "plate": pa.string(),
    "well": pa.string(),
    "row": pa.int32(),
    "column": pa.int32(),
    "site": pa.string(),
    "unit": pa.int64(),
    "y": pa.int64(),
    "x": pa.int64(),
    "genotype": pa.string(),
    "treatment": pa.string(),
    "label": pa.string(),
    "split_group": pa.string(),
    "model": pa.string(),
    "version": pa.string(),
    "replicate": pa.int32(),
    "held_out": pa.bool_(),
}
_AFTER = {
    "predicted_class": pa.string(),
    "spec_digest": pa.string(),
    "manifest_digest": pa.string(),
    "input_digest": pa.string(),
}


@dataclass(frozen=True, slots=True)
class ShardMeta:
    """What a shard says of itself besides its rows."""

    classes: tuple[str, ...]
    """Class names in the order of the model's logits."""
    positive: str
    """The class of `probability_<positive>`: the disease, or the treated."""
    temperatures: Mapping[int, float]
    """By replicate; the logits are divided by it before softmax."""
    channels: Mapping[str, str]
    """Channel digest by channel name; empty where the writer does not tell."""
    aggregation: str = "mean"
    """How the model's units became wells where its training judged wells."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ShardMeta:
        """Read and check a mapping of classes, positive, temperatures, channels.

        Raises:
            DataError: A value is missing or can't be meant.
        """
        try:
            meta = cls(
                classes=tuple(str(name) for name in values["classes"]),
                positive=str(values["positive"]),
                temperatures={
                    int(k): float(v) for k, v in sorted(values["temperatures"].items())
                },
                channels={
                    str(k): str(v) for k, v in values.get("channels", {}).items()
                },
                aggregation=str(values.get("aggregation", "mean")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"the predictions' metadata is incomplete ({error!r})"
            raise DataError(
                f"{msg}; it needs classes, positive, temperatures"
            ) from error
        if len(set(meta.classes)) != len(meta.classes) or len(meta.classes) < 2:
            msg = f"classes {list(meta.classes)} are not two or more different names"
            raise DataError(msg)
        if meta.positive not in meta.classes:
            msg = f"positive class {meta.positive!r} is none of {list(meta.classes)}"
            raise DataError(msg)
        if meta.aggregation not in WORDS:
            msg = f"aggregation {meta.aggregation!r} is none of {', '.join(WORDS)}"
            raise DataError(msg)
        return meta

    def to_json(self) -> bytes:
        """The metadata as it stands in the file; `of` reads it back."""
        document = {
            "format": FORMAT,
            "classes": list(self.classes),
            "positive": self.positive,
            "temperatures": {str(k): v for k, v in self.temperatures.items()},
            "channels": dict(self.channels),
            "aggregation": self.aggregation,
        }
        return json.dumps(document, sort_keys=True).encode()


def logit_columns(meta: ShardMeta) -> tuple[str, ...]:
    """The logit columns in the order of the classes."""
    return tuple(f"logit_{name}" for name in meta.classes)


def schema(meta: ShardMeta) -> pa.Schema:
    """The columns of a shard: names, types and order; none may be null."""
    fields = {
        **_FIELDS,
        **{name: pa.float32() for name in logit_columns(meta)},
        f"probability_{meta.positive}": pa.float64(),
        **_AFTER,
    }
    return pa.schema(
        [pa.field(name, kind, nullable=False) for name, kind in fields.items()],
        metadata={_METADATA: meta.to_json()},
    )


def write_shard(
    path: Path, frame: pd.DataFrame, meta: ShardMeta | Mapping[str, Any]
) -> None:
    """Write the rows of one model for one shard, whole or not at all.

    Args:
        path: `<out>/<model>/part-<index>.parquet`.
        frame: One row per unit and replicate, perhaps none. `row` and `column` follow
            from `well` and may be left out. Logits are float32.
        meta: The classes, the positive one, temperatures and channel digests.

    Raises:
        DataError: A column or value is not what the schema needs.
    """
    meta = meta if isinstance(meta, ShardMeta) else ShardMeta.of(meta)
    wanted = schema(meta)
    frame = frame.assign(**_places(frame))
    if set(frame.columns) != set(wanted.names):
        missing = sorted(set(wanted.names) - set(frame.columns))
        surplus = sorted(set(frame.columns) - set(wanted.names))
        msg = f"{path}: columns missing {missing}, unknown {surplus}; see the schema"
        raise DataError(msg)
    _check_values(frame, meta, path)
    try:
        table = pa.Table.from_pandas(frame, schema=wanted, preserve_index=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: a value is not of its column's type: {error}"
        ) from None
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(wanted.metadata), buffer, compression="zstd"
    )
    write_atomic(path, buffer.getvalue())


def read_meta(path: Path) -> ShardMeta:
    """Read what a shard says of itself.

    Raises:
        DataError: The file is not a shard of predictions.
    """
    try:
        found = pq.read_schema(path)
        document = json.loads((found.metadata or {})[_METADATA])
        if document.get("format") != FORMAT:
            raise ValueError(f"format {document.get('format')!r}")
    except (OSError, KeyError, ValueError, AttributeError) as error:
        msg = f"{path} is not a {FORMAT} file ({error}); deploy again into a new folder"
        raise DataError(msg) from error
    meta = ShardMeta.of(document)
    wanted = schema(meta)
    if not found.remove_metadata().equals(wanted.remove_metadata()):
        odd = sorted(set(map(str, found)) ^ set(map(str, wanted)))
        msg = f"{path} has other columns than {FORMAT} ({odd[0] if odd else 'order'})"
        raise DataError(f"{msg}; deploy again with this version")
    return meta


def read_shard(path: Path) -> pa.Table:
    """Read the rows of one shard, text as dictionaries.

    Raises:
        DataError: The file is not a shard of predictions.
    """
    wanted = schema(read_meta(path))
    texts = [field.name for field in wanted if field.type == pa.string()]
    try:
        return pq.ParquetFile(path, read_dictionary=texts).read()
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path} can't be read ({error}); remove it and deploy again"
        raise DataError(msg) from error


def _places(frame: pd.DataFrame) -> dict[str, Any]:
    """Row and column of every well, by the one parser; given ones must agree."""
    if "well" not in frame:
        return {}
    names, inverse = np.unique(frame["well"].to_numpy(dtype=str), return_inverse=True)
    wells = [parse_well(str(name)) for name in names]
    for name, well in zip(names, wells, strict=True):
        if name != well.name:
            raise DataError(f"well {str(name)!r} must be spelled {well.name!r}")
    found = {
        "row": np.array([well.row for well in wells], dtype=np.int32)[inverse],
        "column": np.array([well.column for well in wells], dtype=np.int32)[inverse],
    }
    for name, values in found.items():
        if name in frame and not np.array_equal(frame[name].to_numpy(), values):
            msg = f"column {name!r} does not agree with the well names; leave it out"
            raise DataError(msg)
    return found


def _check_values(frame: pd.DataFrame, meta: ShardMeta, path: Path) -> None:
    """Finite float32 logits, shares in 0..1, known classes and replicates."""
    for name in logit_columns(meta):
        if frame[name].dtype != np.float32:
            msg = f"{path}: {name} is {frame[name].dtype}, expected float32"
            raise DataError(msg)
        _refuse(frame, name, ~np.isfinite(frame[name]), "a finite number", path)
    share = f"probability_{meta.positive}"
    _refuse(frame, share, ~frame[share].between(0, 1), "a share from 0 to 1", path)
    for name, known in (
        ("predicted_class", set(meta.classes)),
        ("replicate", set(meta.temperatures)),
    ):
        _refuse(frame, name, ~frame[name].isin(known), f"one of {sorted(known)}", path)
    for name in ("spec_digest", "manifest_digest", "input_digest"):
        wrong = ~frame[name].astype(str).str.fullmatch("[0-9a-f]{64}")
        _refuse(frame, name, wrong, "64 hex digits", path)
    for name in STAMPS:
        if frame[name].nunique() > 1:
            msg = f"{path}: {name} has {frame[name].nunique()} values, expected one"
            raise DataError(f"{msg}; write one shard per model")


def _refuse(
    frame: pd.DataFrame, name: str, wrong: Any, wanted: str, path: Path
) -> None:
    if not wrong.any():
        return
    row = frame[wrong.to_numpy()].iloc[0]
    place = " ".join(
        f"{key} {row[key]}" for key in ("plate", "well", "site", "unit", "replicate")
    )
    msg = f"{path}: {name} is {row[name]!r} at {place}, expected {wanted}"
    raise DataError(f"{msg} ({int(wrong.sum())} row(s))")
