"""Antialiased resize: normgate beside Torch, and Pillow where it is installed.

Run it as `python bench/resize.py`. One thread each.
"""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from timing import ratio, timings

from normgate.transform.resize import reference_resize, resize

if TYPE_CHECKING:
    from collections.abc import Callable


def torch_way(image: np.ndarray, size: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    source = torch.from_numpy(image)[None]
    options: dict[str, Any] = {"mode": "bilinear", "antialias": True}
    return lambda: torch.nn.functional.interpolate(source, (size, size), **options)[0]


def pillow_way(image: np.ndarray, size: int) -> Callable[[], Any]:
    from PIL import Image

    planes = [Image.fromarray(plane) for plane in image]
    return lambda: np.stack(
        [np.asarray(plane.resize((size, size), Image.BILINEAR)) for plane in planes]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print("| from | to | way | median ms | fastest ms | normgate is faster |")
    print("|---|---|---|---:|---:|---:|")
    for old, new in ((2160, 224), (1080, 224), (96, 32), (224, 300)):
        image = np.random.default_rng(0).normal(0, 1, (3, old, old)).astype(np.float32)
        ways: dict[str, Callable[[], Any]] = {
            "normgate": lambda image=image, new=new: resize(image, (new, new)),
            "normgate's NumPy reference": lambda image=image, new=new: reference_resize(
                image, (new, new)
            ),
            "torch antialias": torch_way(image, new),
        }
        if importlib.util.find_spec("PIL"):
            ways["Pillow 'F' bilinear"] = pillow_way(image, new)
        expected = ways["normgate"]()
        assert np.array_equal(ways["normgate's NumPy reference"](), expected)
        for way in ways.values():
            np.testing.assert_allclose(np.asarray(way()), expected, atol=2e-3)
        found = timings(ways, arguments.rounds)
        for name, taken in found.items():
            times = ratio(taken, found["normgate"])
            print(f"| 3 x {old}² | {new}² | {name} | {taken} | {times} times |")


if __name__ == "__main__":
    main()
