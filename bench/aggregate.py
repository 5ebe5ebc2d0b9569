"""Aggregate rows of predictions: from shards to wells, beside pandas.

Run it as `python bench/aggregate.py`. Each way reads the same Parquet shards and gives
mean, standard deviation and number of units of every well, in a process of its own, so
that its peak memory is its own; what stands in memory after the imports is shown beside
it. `statistics` goes on to plates and treatments with bootstrap intervals. The same
shards in another order must give the same bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from normgate.plates.aggregate import Roles, score
from normgate.plates.gather import read_predictions
from normgate.plates.predictions import ShardMeta, write_shard
from normgate.plates.treatments import AggregateSettings, analyse
from normgate.plates.wells import Well

if TYPE_CHECKING:
    from collections.abc import Callable

META = ShardMeta(("APP", "WT"), "APP", {0: 1.0, 1: 1.0}, {"RFP1": "1" * 64})
ROLES = Roles("APP", "WT")
WELLS = [Well(row, column) for row in range(1, 17) for column in range(1, 25)]


def write_rows(folder: Path, rows: int, shards: int) -> None:
    """Plates of 384 wells; two replicates a unit."""
    plates = 10
    units = rows // (plates * len(WELLS) * 2)
    rng = np.random.default_rng(0)
    part = 0
    for plate in range(plates):
        for wells in np.array_split(np.arange(len(WELLS)), shards // plates):
            name = folder / "rescue" / f"part-{part:05d}.parquet"
            write_shard(name, frame(plate, wells, units, rng), META)
            part += 1


def frame(
    plate: int, wells: np.ndarray[Any, Any], units: int, rng: np.random.Generator
) -> pd.DataFrame:
    count = len(wells) * units * 2
    kinds = np.array([min(WELLS[at].column, 5) for at in wells]).repeat(units * 2)
    names = np.array([WELLS[at].name for at in wells], dtype=object)
    name = names.repeat(units * 2)
    score_ = rng.normal(np.where(kinds <= 2, -1.0, 1.0), 1.0).astype(np.float32)
    label = np.array(["", "WT", "WT", "APP", "APP", ""], dtype=object)[kinds]
    drug = [f"drug-{WELLS[at].row}-{WELLS[at].column}" for at in wells]
    treatment = np.array(drug, dtype=object).repeat(units * 2)
    return pd.DataFrame({
        "plate": f"P{plate:02d}", "well": name, "site": "1",
        "unit": np.tile(np.arange(units).repeat(2), len(wells)), "y": 16, "x": 16,
        "genotype": np.where(kinds <= 2, "WT", "APP"),
        "treatment": np.where(label == "", treatment, "vehicle"), "label": label,
        "split_group": name, "replicate": np.tile([0, 1], count // 2),
        "held_out": True, "logit_APP": score_ / 2, "logit_WT": -score_ / 2,
        "probability_APP": 1 / (1 + np.exp(-score_.astype(np.float64))),
        "predicted_class": np.where(score_ > 0, "APP", "WT"), "model": "rescue",
        "version": "1", "spec_digest": "a" * 64, "manifest_digest": "b" * 64,
        "input_digest": "c" * 64,
    })  # fmt: skip


def ours(folder: Path) -> str:
    (model,) = read_predictions(folder)
    wells = score(model, ROLES).wells
    return digest(wells[["score", "score_sd", "units"]].to_numpy(dtype=np.float64))


def statistics(folder: Path) -> str:
    (model,) = read_predictions(folder)
    found = analyse(model, AggregateSettings(bootstrap=200))
    return digest(found.treatments[["rescue", "low", "high"]].to_numpy())


def by_pandas(folder: Path) -> str:
    parts = [pd.read_parquet(p) for p in sorted(folder.glob("rescue/*.parquet"))]
    rows = pd.concat(parts, ignore_index=True)
    rows["score"] = rows["logit_APP"].astype(np.float64) - rows["logit_WT"]
    keys = ["plate", "row", "column", "site", "unit"]
    units = rows.groupby(keys)["score"].mean().reset_index()
    wells = units.groupby(keys[:3])["score"].agg(["mean", "std", "count"])
    return digest(wells.to_numpy(dtype=np.float64))


WAYS: dict[str, Callable[[Path], str]] = {
    "normgate, to wells": ours, "pandas, to wells": by_pandas,
    "normgate, to treatments with intervals": statistics,
}  # fmt: skip


def digest(values: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def measured(way: str, folder: Path) -> dict[str, Any]:
    """One way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def one_way(way: str, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    found = WAYS[way](folder)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "digest": found, "wall": wall, "cpu": after.ru_utime - before.ru_utime,
        "before_mb": before.ru_maxrss / 1024, "peak_mb": after.ru_maxrss / 1024,
    }))  # fmt: skip


def shuffled(folder: Path, other: Path) -> None:
    """The same shards under other numbers, and so in another order."""
    parts = sorted(folder.glob("rescue/*.parquet"))
    (other / "rescue").mkdir(parents=True)
    order = np.random.default_rng(1).permutation(len(parts))
    for at, part in zip(order, parts, strict=True):
        (other / "rescue" / f"part-{at:05d}.parquet").symlink_to(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--shards", type=int, default=80)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.way:
        one_way(options.way, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name) / "a", Path(name) / "b"
        write_rows(folder, options.rows, options.shards)
        shuffled(folder, other)
        print(
            "| way | wall s | CPU s | peak MB | imports MB | same bits in any order |"
        )
        print("|---|---|---|---|---|---|")
        for way in WAYS:
            one, two = measured(way, folder), measured(way, other)
            same = "yes" if one["digest"] == two["digest"] else "no"
            figures = [f"{one['wall']:.1f}", f"{one['cpu']:.1f}"]
            figures += [f"{one[name]:.0f}" for name in ("peak_mb", "before_mb")]
            print(f"| {way} | {' | '.join(figures)} | {same} |")


if __name__ == "__main__":
    main()
