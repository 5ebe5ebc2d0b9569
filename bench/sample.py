"""Steps that measure each sample: a CT volume, and float features, beside NumPy.

Run it as `python bench/sample.py`. The NumPy way is the one that such code usually
has: clip, mask, mean and standard deviation of the masked voxels, then the z-score.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from timing import ratio, timings

from normgate.contract import Channel, Clip, Mask, Spec, StandardizeSample
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from collections.abc import Callable


def spec(
    dtype: Literal["int16", "float32"], clip: bool, fit: Mask, number: int
) -> Spec:
    step = StandardizeSample(
        scope="channel",
        fit_mask=fit,
        apply_mask=Mask(),
        outside="keep",
        eps=0,
        eps_placement="add",
        degenerate="center",
        ddof=0,
    )
    steps = (Clip(low=-1000, high=1000), step) if clip else (step,)
    names = [f"C{i}" for i in range(number)]
    return Spec(
        channels=tuple(Channel(name=name, input=dtype, steps=steps) for name in names)
    )


def usual(volume: np.ndarray) -> np.ndarray:
    clipped = np.clip(volume, -1000, 1000)
    mask = clipped > -900
    if mask.sum() > 0:
        mean, std = clipped[mask].mean(), clipped[mask].std()
        clipped = (clipped - mean) / std if std > 0 else clipped - mean
    return clipped.astype(np.float32)


def features(image: np.ndarray) -> np.ndarray:
    wide = image.astype(np.float64)
    mean, std = wide.mean((1, 2), keepdims=True), wide.std((1, 2), keepdims=True)
    return ((wide - mean) / std).astype(np.float32)


def report(title: str, ways: dict[str, Callable[[], Any]], rounds: int) -> None:
    expected = ways["NumPy"]()
    np.testing.assert_allclose(ways["normgate, 2 threads"](), expected, atol=1e-5)
    found = timings(ways, rounds)
    print(f"{title}:\n")
    print("| way | median ms | fastest ms | NumPy takes |\n|---|---:|---:|---:|")
    for name, taken in found.items():
        print(f"| {name} | {taken} | {ratio(found['NumPy'], taken)} times |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    volume = rng.normal(-300, 600, (100, 512, 512)).clip(-1024, 3071).astype(np.int16)
    kept = spec("int16", True, Mask(kind="above", value=-900), 1)
    one, two = (Normalizer(kept, threads=threads) for threads in (1, 2))
    out = np.empty((1, *volume.shape), np.float32)
    report(
        "CT volume 100 x 512 x 512 int16, clipped, z-score of voxels above -900",
        {
            "normgate, 2 threads": lambda: two([volume], out)[0],
            "normgate, 1 thread": lambda: one([volume], out)[0],
            "NumPy": lambda: usual(volume),
        },
        arguments.rounds,
    )
    image = rng.normal(0, 1, (40, 256, 256)).astype(np.float32)
    floats = Normalizer(spec("float32", False, Mask(), 40), threads=2)
    report(
        "40 channels 256 x 256 float32, z-score of each",
        {
            "normgate, 2 threads": lambda: floats(image),
            "NumPy": lambda: features(image),
        },
        arguments.rounds,
    )


if __name__ == "__main__":
    main()
