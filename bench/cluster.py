"""Plates on a cluster: `engine=ray` beside this process, and a worker killed midway.

Run it as `python bench/cluster.py`. Measuring and deploying the same plates are timed
whole, the start of Ray and of its workers included, each way in turn. All must give the
same bytes. The killed worker is one of two, in its second shard.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from deploy import models, write_plates

from normgate.cluster.engine import opened
from normgate.deploy import DeploySettings, Model, deploy
from normgate.deploy.predicting import Elsewhere
from normgate.plates.load import sites
from normgate.plates.measure import MeasureSettings, measure
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WAYS = {"this process": None, "Ray, 1 worker": 2, "Ray, 2 workers": 3}
"""Cores that Ray is told of; one of them is left free."""


def ready(backbone: str, dies_once: Path | None = None) -> list[Model]:
    torch.manual_seed(0)
    found, _ = models(backbone)
    if dies_once is None:
        return found
    first, *rest = found
    return [replace(first, forward=partial(dying, first, dies_once)), *rest]


def dying(model: Model, once: Path, batch: torch.Tensor) -> torch.Tensor:
    """Kill the worker at its second batch, once."""
    seen = once.with_suffix(f".{os.getpid()}")
    if seen.exists() and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    seen.touch()
    return model.forward(batch)


def deployed(
    data: Path, out: Path, backbone: str, cpus: int | None, dies_once: Path | None
) -> None:
    settings = DeploySettings(data=data, out=out, batch_size=16, shard_sites=8)
    places = sites(read_plate_csv(data), data)
    with opened("ray" if cpus else "local", cpus=cpus) as spread:
        anew = partial(ready, backbone, dies_once)
        elsewhere = spread and Elsewhere(anew, settings, spread)
        deploy(ready(backbone), places, settings, elsewhere)


def measured(data: Path, out: Path, cpus: int | None) -> None:
    settings = MeasureSettings(
        percentiles=(Decimal(1), Decimal(99)), then="zscore", workers=2
    )
    with opened("ray" if cpus else "local", cpus=cpus) as spread:
        found = measure(read_plate_csv(data), data, out, settings, spread=spread)
    out.mkdir(parents=True, exist_ok=True)
    (out / "spec.txt").write_text(f"{found.spec!r} {found.provenance!r}")


def digest(out: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found.update(path.read_bytes())
    return found.hexdigest()


def seconds(way: Callable[[], None]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def compared(title: str, work: Sequence[tuple[str, Callable[[Path], None]]]) -> None:
    """Print how long each way takes, and refuse other bytes than the first one's."""
    numbers, digests = count(), set()
    with tempfile.TemporaryDirectory() as name:
        for way, run in work:
            out = Path(name) / str(next(numbers))
            taken = seconds(partial(run, out))
            digests.add(digest(out))
            print(f"| {title} | {way} | {taken:.1f} |", flush=True)
    if len(digests) > 1:
        raise SystemExit(f"{title}: the ways give different bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=48)
    parser.add_argument("--side", type=int, default=1080)
    parser.add_argument("--backbone", default="demo")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    print(f"{chosen.sites} sites, 6 pictures {chosen.side} x {chosen.side} each:\n")
    print("| job | way | seconds |\n|---|---|---:|")
    with tempfile.TemporaryDirectory() as name:
        data = write_plates(Path(name) / "plates", chosen.sites, chosen.side, "zstd")
        compared(
            "measure",
            [(way, partial(measured, data, cpus=cpus)) for way, cpus in WAYS.items()],
        )
        once = Path(name) / "died"
        jobs = [(way, cpus, None) for way, cpus in WAYS.items()]
        jobs.append(("Ray, 2 workers, one killed", 3, once))
        compared(
            "deploy",
            [
                (
                    way,
                    partial(
                        deployed,
                        data,
                        backbone=chosen.backbone,
                        cpus=cpus,
                        dies_once=dies_once,
                    ),
                )
                for way, cpus, dies_once in jobs
            ],
        )


if __name__ == "__main__":
    main()
