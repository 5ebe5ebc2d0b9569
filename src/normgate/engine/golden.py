"""Golden vectors: raw input, and every named output that each member gave for it.

They show, wherever a bundle is loaded, that it computes there what it did at training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from normgate.engine.weights import weights_bytes
from normgate.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from normgate.engine.ensemble import Ensemble

GOLDEN = "golden.safetensors"
GOLDEN_FORMAT = "normgate.golden/2"
GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden output, absolute plus relative to its size."""
_RAW = "raw"
_OUTPUT = "output."


@torch.inference_mode()
def golden_bytes(ensemble: Ensemble, raw: Tensor) -> bytes:
    """The file of raw input and what every member gives for it."""
    outputs = {f"{_OUTPUT}{name}": value for name, value in ensemble(raw).items()}
    return weights_bytes({_RAW: raw, **outputs}, {"format": GOLDEN_FORMAT})


@torch.inference_mode()
def check_golden(folder: Path, ensemble: Ensemble) -> None:
    """Make sure that a bundle's members still give its golden outputs.

    Raises:
        BundleError: They don't, or there is no such file.
    """
    path = folder / GOLDEN
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != GOLDEN_FORMAT:
                raise BundleError(
                    f"{path} is not of format {GOLDEN_FORMAT}; write the bundle again "
                    "with this version of normgate"
                )
            expected = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} can't be read ({error})") from error
    raw = expected.pop(_RAW, None)
    found = {} if raw is None else ensemble(raw)
    if expected.keys() != {f"{_OUTPUT}{name}" for name in found}:
        raise BundleError(
            f"{path} holds {', '.join(sorted(expected))}, but the members give "
            f"{', '.join(sorted(found))}; write the bundle again"
        )
    for name, value in found.items():
        if not _alike(value, expected[f"{_OUTPUT}{name}"]):
            raise BundleError(
                f"{folder}: the golden input gives other {name} here than when the "
                f"bundle was written (more than {GOLDEN_TOLERANCE:g} apart); this "
                "installation of torch computes something else, so compare its version "
                "with the card's"
            )


def _alike(found: Tensor, expected: Tensor) -> bool:
    limit = GOLDEN_TOLERANCE * (1 + expected.abs())
    return found.shape == expected.shape and bool(
        ((found - expected).abs() < limit).all()
    )
