"""Apply a fixed spec: normgate beside memcpy, NumPy, Torch, MONAI and OpenCV.

Run it as `python bench/apply.py`. Peers that are not installed are left out. All
write to arrays made before, where they can; every result is checked before timing.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from timing import ratio, timings

from normgate.contract import Channel, Clip, Rescale, Spec, Standardize
from normgate.transform.apply import Normalizer
from normgate.transform.table import table as table_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONSTANTS = [
    ("RFP1", 963, 9016, "0.485", "0.229"),
    ("HALO", 1783, 11525, "0.456", "0.224"),
    ("HALO_MASKED", 0, 238, "0.406", "0.225"),
]
OURS = "normgate, 2 threads"
LIMIT = "memcpy, 2 threads"


def spec(channels: int) -> Spec:
    made = []
    for i in range(channels):
        name, low, high, mean, std = CONSTANTS[i % 3]
        steps = (
            Clip(low=low, high=high),
            Rescale(low=low, high=high),
            Standardize(mean=Decimal(mean), std=Decimal(std)),
        )
        made.append(Channel(name=f"{name}:{i // 3}ms", input="uint16", steps=steps))
    return Spec(channels=tuple(made))


def memcpy(image: np.ndarray, threads: int) -> Callable[[], None]:
    """Copy as many bytes as normalizing reads and writes together."""
    half = (image.nbytes + image.size * 4) // 2 // threads
    source, target = (np.ones(half * threads, np.uint8) for _ in range(2))
    places = [
        (target.ctypes.data + i * half, source.ctypes.data + i * half)
        for i in range(threads)
    ]

    def copy() -> None:
        if threads == 1:
            ctypes.memmove(*places[0], half)
        else:
            list(POOL.map(lambda place: ctypes.memmove(*place, half), places))

    copy.kept = source, target  # type: ignore[attr-defined]
    return copy


POOL = ThreadPoolExecutor(2)


def staged(image: np.ndarray, dtype: Any) -> Callable[[], np.ndarray]:
    """The way it is usually written: clip, rescale, standardize, one after another."""
    columns = np.array(
        [[float(v) for v in CONSTANTS[i % 3][1:]] for i in range(len(image))]
    )
    low, high, mean, std = columns.astype(dtype).T[:, :, None, None]

    def way() -> np.ndarray:
        x = image.astype(dtype)
        x = np.clip(x, low, high)
        x = (x - low) / (high - low)
        x = (x - mean) / std
        return x.astype(np.float32)

    return way


def torch_eager(image: np.ndarray) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(2)
    columns = np.array(
        [[float(v) for v in CONSTANTS[i % 3][1:]] for i in range(len(image))]
    )
    low, high, mean, std = torch.from_numpy(
        columns.astype(np.float32).T[..., None, None].copy()
    )
    source = torch.from_numpy(image)

    def way() -> Any:
        x = source.to(torch.float32)
        x = torch.minimum(torch.maximum(x, low), high)
        x = (x - low) / (high - low)
        return (x - mean) / std

    return way


def monai(image: np.ndarray) -> Callable[[], Any]:
    from monai.transforms import Compose, NormalizeIntensity, ScaleIntensityRange

    channels = []
    for i in range(len(image)):
        _, low, high, mean, std = CONSTANTS[i % 3]
        scale = ScaleIntensityRange(a_min=low, a_max=high, b_min=0, b_max=1, clip=True)
        shift = NormalizeIntensity(subtrahend=float(mean), divisor=float(std))
        channels.append(Compose([scale, shift]))
    return lambda: np.stack(
        [np.asarray(one(plane)) for one, plane in zip(channels, image, strict=True)]
    )


def opencv(image: np.ndarray, tables: list[np.ndarray], out: np.ndarray) -> Any:
    import cv2

    def way() -> np.ndarray:
        for plane, lut, target in zip(image, tables, out, strict=True):
            cv2.LUT(plane, lut, dst=target)
        return out

    return way


def ways(image: np.ndarray) -> dict[str, Callable[[], Any]]:
    wanted = spec(len(image))
    tables = [table_of(channel) for channel in wanted.channels]
    one, two = (Normalizer(wanted, threads=threads) for threads in (1, 2))
    out = np.empty(image.shape, np.float32)
    found: dict[str, Callable[[], Any]] = {
        LIMIT: memcpy(image, 2),
        "memcpy, 1 thread": memcpy(image, 1),
        OURS: lambda: two(image, out),
        "normgate, 1 thread": lambda: one(image, out),
        "normgate, 2 threads, new array": lambda: two(image),
        "naive NumPy float32": staged(image, np.float32),
        "naive NumPy float64": staged(image, np.float64),
    }
    if importlib.util.find_spec("torch"):
        found["torch eager, 2 threads"] = torch_eager(image)
    if importlib.util.find_spec("monai"):
        found["MONAI"] = monai(image)
    if importlib.util.find_spec("cv2"):
        found["OpenCV 16-bit LUT"] = opencv(image, tables, np.empty_like(out))
    expected = np.stack([lut[plane] for lut, plane in zip(tables, image, strict=True)])
    for name, way in found.items():
        result = way()
        if result is not None:
            np.testing.assert_allclose(np.asarray(result), expected, atol=1e-5)
            exact = np.array_equal(np.asarray(result), expected)
            assert exact or not name.startswith("normgate")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=3, default=(6, 2160, 2160))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.gamma(2, 2000, arguments.size).clip(0, 65535).astype(np.uint16)
    shape = " x ".join(map(str, image.shape))
    moved = image.size * 6 / 1e6
    print(f"Apply a fixed spec, {shape} uint16 to float32 ({moved:.0f} MB moved):\n")
    print(f"| way | median ms | fastest ms | times {LIMIT} | times {OURS} |")
    print("|---|---:|---:|---:|---:|")
    found = timings(ways(image), arguments.rounds)
    for name, taken in found.items():
        ratios = f"{ratio(taken, found[LIMIT])} | {ratio(taken, found[OURS])}"
        print(f"| {name} | {taken} | {ratios} |")


if __name__ == "__main__":
    main()
