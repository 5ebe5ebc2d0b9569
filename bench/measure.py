"""Exact percentiles: normgate's histograms beside numpy.percentile, time and memory.

Run it as `python bench/measure.py`. Peers that are not installed are left out. Memory
is what the way itself takes at its peak, measured apart from the timing.
"""

from __future__ import annotations

import argparse
import importlib.util
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from timing import ratio, timings

from normgate.transform.histogram import FloatHistogram, IntegerHistogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PERCENTILES = [1, 99]
POOL = ThreadPoolExecutor(2)


def integers(images: list[np.ndarray], threads: int) -> np.ndarray:
    def shard(part: list[np.ndarray]) -> IntegerHistogram:
        histogram = IntegerHistogram("uint16")
        for image in part:
            histogram.add(image)
        return histogram

    first, *others = POOL.map(shard, [images[i::threads] for i in range(threads)])
    for other in others:
        first.merge(other)
    return first.percentile(PERCENTILES)


def floats(images: list[np.ndarray], threads: int) -> np.ndarray:
    shards = [images[i::threads] for i in range(threads)]

    def coarse(part: list[np.ndarray]) -> FloatHistogram:
        histogram = FloatHistogram()
        for image in part:
            histogram.add(image)
        return histogram

    first, *others = POOL.map(coarse, shards)
    for other in others:
        first.merge(other)

    def fine(part: list[np.ndarray]) -> Any:
        histogram = first.fine(PERCENTILES)
        for image in part:
            histogram.add(image)
        return histogram

    second, *rest = POOL.map(fine, shards)
    for one in rest:
        second.merge(one)
    return second.percentile(PERCENTILES)


def bincount(images: list[np.ndarray]) -> np.ndarray:
    counts = np.zeros(65536, dtype=np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=65536)
    return counts


def numpy_percentile(images: list[np.ndarray]) -> np.ndarray:
    return np.percentile(
        np.concatenate([image.ravel() for image in images]), PERCENTILES
    )


def opencv(images: list[np.ndarray]) -> np.ndarray:
    import cv2

    return sum(cv2.calcHist([i], [0], None, [65536], [0, 65536]) for i in images)


def peak(way: Callable[[], Any]) -> float:
    tracemalloc.start()
    way()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def report(title: str, ways: Mapping[str, Callable[[], Any]], rounds: int) -> None:
    ours, peer = "normgate, 2 threads", "numpy.percentile"
    assert np.array_equal(ways[ours](), ways[peer]())
    found = timings(ways, rounds)
    print(f"{title}:\n")
    print(f"| way | median ms | fastest ms | {peer} takes | MB |")
    print("|---|---:|---:|---:|---:|")
    for name, way in ways.items():
        times = ratio(found[peer], found[name])
        print(f"| {name} | {found[name]} | {times} times | {peak(way):.1f} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=100)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    tile = rng.gamma(2, 2000, (1080, 1080))
    counts = [
        np.roll(tile, i, 0).clip(0, 65535).astype(np.uint16)
        for i in range(arguments.images)
    ]
    ways: dict[str, Callable[[], Any]] = {
        "normgate, 2 threads": lambda: integers(counts, 2),
        "normgate, 1 thread": lambda: integers(counts, 1),
        "numpy.bincount": lambda: bincount(counts),
        "numpy.percentile": lambda: numpy_percentile(counts),
    }
    if importlib.util.find_spec("cv2"):
        ways["cv2.calcHist"] = lambda: opencv(counts)
    report(f"{len(counts)} images 1080 x 1080 uint16", ways, arguments.rounds)
    single = [rng.normal(0, 1, (1080, 1080)).astype(np.float32) for _ in range(34)]
    report(
        f"{len(single)} images 1080 x 1080 float32 (mean and std included)",
        {
            "normgate, 2 threads": lambda: floats(single, 2),
            "normgate, 1 thread": lambda: floats(single, 1),
            "numpy.percentile": lambda: numpy_percentile(single),
        },
        arguments.rounds,
    )


if __name__ == "__main__":
    main()
