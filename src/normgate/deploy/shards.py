"""Shards: the fixed pieces of a job, each wholly written or not at all.

The sites of a plate CSV, in its order, are cut every `size` sites; batches never
cross a cut. So what a shard holds does not depend on where an earlier run stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyarrow.parquet import read_metadata

from normgate.deploy.quarantine import is_current

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from normgate.deploy.quarantine import Quarantined
    from normgate.plates.load import Site


@dataclass(frozen=True, slots=True)
class Shard:
    """One piece of a job."""

    index: int
    sites: tuple[Site, ...]


def cut(sites: Sequence[Site], size: int) -> tuple[Shard, ...]:
    """Cut the sites into shards of `size`; the last one may be shorter."""
    return tuple(
        Shard(index, tuple(sites[start : start + size]))
        for index, start in enumerate(range(0, len(sites), size))
    )


def part_path(out: Path, model: str, index: int) -> Path:
    """The Parquet file of one shard for one model."""
    return out / model / f"part-{index:05d}.parquet"


def count_rows(out: Path, model: str) -> int:
    """Count a model's rows by what its files say of themselves."""
    parts = sorted((out / model).glob("part-*.parquet"))
    return sum(int(read_metadata(part).num_rows) for part in parts)


def finished(
    out: Path,
    models: Iterable[str],
    shards: Iterable[Shard],
    quarantined: Iterable[Quarantined],
) -> frozenset[int]:
    """The indexes of the shards that need no work.

    A shard is finished when every model has its file, unless an image that it lacks
    has changed since: then it is done again.
    """
    names = tuple(models)
    changed = {record.shard for record in quarantined if not is_current(record)}
    return frozenset(
        shard.index
        for shard in shards
        if shard.index not in changed
        and all(part_path(out, name, shard.index).exists() for name in names)
    )
