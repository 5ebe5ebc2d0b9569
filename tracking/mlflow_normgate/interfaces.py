"""What a bundle takes and gives, as MLflow writes it down: by family, without torch.

Judging what comes in is the bundle's own work (`engine.bundle.Family.accept`): MLflow
casts JSON to the type that stands here, without a word where that loses something.

Axes: n units or cases, c channels, k classes, then h rows and w columns of pictures, or
z slices, y rows and x columns of volumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from normgate.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from normgate.contract import Spec

PLATE_EXAMPLE = (2, 32, 32)
"""Crops, and their height and width in pixels, of the logged input example."""
FUSION_EXAMPLE = (2, 16, 16)
"""Slices, rows and columns of the logged input example."""
IMC_UNITS = 2
"""Units along each side of the logged input example."""
IMC_CELLS = (2, 3)
"""Rows and columns of cells in it, where units are of cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One model's input and output."""

    signature: ModelSignature
    example: np.ndarray
    """Raw input, small and of nobody."""


def interface_of(spec: Spec, card: Mapping[str, Any]) -> Interface:
    """The interface of a bundle.

    Args:
        spec: The bundle's.
        card: Its card, as JSON.

    Raises:
        BundleError: Its family is unknown, or the card lacks what its family says.
    """
    family = card.get("family")
    if family not in INTERFACES:
        known = ", ".join(sorted(INTERFACES))
        raise BundleError(
            f"the card names family {family!r}, which this version can't serve; it "
            f"has {known}"
        )
    return INTERFACES[family](spec, card)


def _plate(spec: Spec, card: Mapping[str, Any]) -> Interface:
    """Raw uint16 counts (n, c, h, w) in; logits and probabilities (n, k) out."""
    if not card.get("classes"):
        raise BundleError("the card names no classes; write the bundle again")
    channels, classes = len(spec.channels), len(card["classes"])
    count, height, width = PLATE_EXAMPLE
    shape = (count, channels, height, width)
    ramp = np.linspace(200, 12000, num=int(np.prod(shape)))
    return Interface(
        signature=_signature(
            _tensor(np.uint16, (-1, channels, -1, -1)),
            _tensor(np.float32, (-1, classes), "logits"),
            _tensor(np.float64, (-1, classes), "probabilities"),
        ),
        example=ramp.astype(np.uint16).reshape(shape),
    )


def _fusion(spec: Spec, card: Mapping[str, Any]) -> Interface:
    """Raw volumes (n, c, z, y, x) in, CT in HU; images and lesions (n, z, y, x) out."""
    channels = len(spec.channels)
    ramp = np.rint(np.linspace(-1000, 1000, num=int(np.prod(FUSION_EXAMPLE))))
    volume_zyx = ramp.astype(np.float32).reshape(FUSION_EXAMPLE)
    return Interface(
        signature=_signature(
            _tensor(np.float32, (-1, channels, -1, -1, -1)),
            _tensor(np.float32, (-1, -1, -1, -1), "fused"),
            _tensor(np.float32, (-1, -1, -1, -1), "lesion_probability"),
        ),
        example=np.stack([volume_zyx] * channels)[None],
    )


def _imc(spec: Spec, card: Mapping[str, Any]) -> Interface:
    """Raw acquisitions (n, c, y, x) in; latents (u, d) and images (u, c, h, w) out.

    Units u follow one another, acquisition by acquisition.
    """
    channels, geometry = len(spec.channels), card.get("geometry", {})
    if geometry.get("kind") == "cells":
        return _imc_cells(channels)
    if geometry.get("kind") != "grid":
        raise BundleError(
            "the card's geometry is neither grid nor cells; write the bundle again"
        )
    sides = [IMC_UNITS * side * geometry["pool"] for side in geometry["grid"]]
    shape = (1, channels, *sides)
    ramp = np.linspace(0, 500, num=int(np.prod(shape)))
    return Interface(
        signature=_signature(
            _tensor(np.float32, (-1, channels, -1, -1)),
            _tensor(np.float32, (-1, -1), "latent"),
            _tensor(np.float32, (-1, channels, *geometry["grid"]), "reconstruction"),
        ),
        example=np.rint(ramp).astype(np.float32).reshape(shape),
    )


def _imc_cells(channels: int) -> Interface:
    """Raw acquisitions with a label image as last plane (n, c + 1, y, x) in.

    Latents (u, d) and cells (u, k, c) come out.
    """
    rows, columns = IMC_CELLS
    labels_yx = np.zeros((4 * rows, 4 * columns), np.float32)
    for number in range(rows * columns):
        y, x = 4 * (number // columns), 4 * (number % columns)
        labels_yx[y : y + 3, x : x + 3] = number + 1
    ramp = np.rint(np.linspace(0, 500, num=channels * labels_yx.size))
    planes_cyx = ramp.astype(np.float32).reshape(channels, *labels_yx.shape)
    return Interface(
        signature=_signature(
            _tensor(np.float32, (-1, channels + 1, -1, -1)),
            _tensor(np.float32, (-1, -1), "latent"),
            _tensor(np.float32, (-1, -1, channels), "reconstruction"),
        ),
        example=np.concatenate([planes_cyx, labels_yx[None]])[None],
    )


INTERFACES: dict[str, Callable[[Spec, Mapping[str, Any]], Interface]] = {
    "plate": _plate,
    "fusion": _fusion,
    "imc": _imc,
}


def _tensor(
    dtype: type[np.generic], shape: tuple[int, ...], name: str | None = None
) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


def _signature(raw: TensorSpec, *outputs: TensorSpec) -> ModelSignature:
    named: list[ColSpec | TensorSpec] = list(outputs)
    return ModelSignature(inputs=Schema([raw]), outputs=Schema(named))
