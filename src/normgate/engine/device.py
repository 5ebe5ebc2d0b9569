"""Where tensors live, with how many threads, and every random state there is."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch

from normgate.errors import SettingsError


def resolve_device(name: str) -> torch.device:
    """The device that a setting names.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        SettingsError: It is none of these, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise SettingsError(f"device is {name!r}, expected auto, cpu, cuda or cuda:0")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if int(number or 0) >= count:
        raise SettingsError(
            f"device is {name!r}, but this machine has {count} CUDA devices; use auto"
        )
    return torch.device(name)


def mixed_precision(device: torch.device, amp: bool) -> torch.dtype | None:
    """The type of mixed precision on a device; None for float32 throughout."""
    if device.type != "cuda" or not amp:
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def set_threads() -> int:
    """Use OMP_NUM_THREADS threads, or as many as this process may; returns how many."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    allowed = len(os.sched_getaffinity(0))
    threads = int(asked) if asked.isdigit() and int(asked) else allowed
    torch.set_num_threads(threads)
    return threads


def seed_all(seed: int) -> None:
    """Seed torch (every device), NumPy's global state and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_states() -> dict[str, Any]:
    """Every random state, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": (version, list(internal), gauss),
        "numpy": (name, [int(key) for key in keys], position, has_gauss, cached),
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
