"""What a bundle of the plate family asks: its network, its input, what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.engine.normalize import RawInput
from normgate.errors import BundleError, DataError, SettingsError
from normgate.families.plate.model import build
from normgate.families.plate.probabilities import combined
from normgate.families.plate.settings import ModelSettings
from normgate.plates.geometry import Geometry
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from normgate.contract import Spec
    from normgate.engine.card import Card

NORMALIZED_MAXIMUM = 16
"""Counts: no camera gives a whole batch this dark, and normalized values stay below."""


class PlateBundles:
    """Implements `normgate.engine.bundle.Family`."""

    def network(self, spec: Spec, card: Card) -> nn.Module:
        """An untrained member as the card describes it."""
        try:
            settings = ModelSettings(**card.settings["model"])
        except (KeyError, TypeError, SettingsError) as error:
            raise BundleError(
                f"the card's model settings are not understood ({error}); use the "
                f"normgate version that wrote it, {card.code_version}"
            ) from error
        return build(settings, len(spec.channels), len(card.classes))

    def raw_input(self, spec: Spec, card: Card) -> nn.Module:
        """Raw windows of any size to units."""
        return RawInput(spec, _geometry(card).size)

    def fingerprint(self, spec: Spec, card: Card) -> str:
        """What the reader, loader and normalizer must have given for the probe."""
        return expected_fingerprint(spec, _geometry(card))

    def outputs(
        self, card: Card, network: nn.Module, units: Tensor
    ) -> Mapping[str, Tensor]:
        """`logits` (n, k) of units (n, c, size, size)."""
        return {"logits": network(units)}

    def combine(
        self, card: Card, outputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """`logits` and `probabilities`; see `probabilities.combined`."""
        temperatures = [member.temperature for member in card.members]
        return {**combined(outputs["logits"], temperatures)}

    def accept(self, spec: Spec, card: Card, given: NDArray[Any]) -> NDArray[Any]:
        """Raw counts as uint16 (n, c, h, w), and nothing that looks normalized."""
        raw = given.dtype == np.uint16 and given.ndim == 4 and given.size > 0
        if not raw or given.shape[1] != len(spec.channels):
            raise DataError(
                f"expected raw counts as uint16 (N, {len(spec.channels)}, H, W) with "
                f"channels {', '.join(spec.names)}, found {given.dtype} of shape "
                f"{given.shape}; send the images as the microscope wrote them"
            )
        largest = int(given.max())
        if largest <= NORMALIZED_MAXIMUM:
            raise DataError(
                f"the largest value of the batch is {largest}, so it looks normalized "
                "already; send the raw counts, for the model normalizes by itself"
            )
        return given


def _geometry(card: Card) -> Geometry:
    try:
        return Geometry.from_json(card.geometry)
    except (SettingsError, TypeError) as error:
        raise BundleError(f"the card's geometry is not understood: {error}") from error
