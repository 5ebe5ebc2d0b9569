"""What a bundle of the IMC family asks: its network, its input, what it predicts.

Raw input is whole acquisitions (n, c, y, x) of one size, in the spec's order of
channels; each is normalized as a whole plane and cut into units, which follow one
another: (n * units, c, h, w). So what was measured on an acquisition in training is
measured on it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from normgate.acquisitions.geometry import (
    GridGeometry,
    boxes,
    geometry_from_json,
    nodes,
)
from normgate.acquisitions.probe import expected_fingerprint
from normgate.errors import BundleError, DataError, SettingsError
from normgate.families.imc.model import Grid, build
from normgate.families.imc.settings import ModelSettings
from normgate.transform.apply import Normalizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.contract import Spec
    from normgate.engine.card import Card


class ImcBundles:
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
        return build(settings, Grid(len(spec.channels), geometry_of(card).grid[0]))

    def raw_input(self, spec: Spec, card: Card) -> nn.Module:
        """Whole acquisitions to units."""
        return RawAcquisitions(spec, geometry_of(card))

    def outputs(
        self, card: Card, network: nn.Module, units: Tensor
    ) -> Mapping[str, Tensor]:
        """`latent` (n, d) and `reconstruction` (n, c, h, w), normalized."""
        latent, reconstruction = network(units)
        return {"latent": latent, "reconstruction": reconstruction}

    def combine(
        self, card: Card, outputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Mean reconstruction; latents of all members side by side, (n, r * d).

        Members have latent spaces of their own, so a mean over them would mean nothing.
        """
        return {
            "latent": np.concatenate(list(outputs["latent"]), axis=1),
            "reconstruction": outputs["reconstruction"].mean(axis=0),
        }

    def accept(self, spec: Spec, card: Card, given: NDArray[Any]) -> NDArray[Any]:
        """Raw values as float32 (n, c, y, x)."""
        raw = given.dtype == np.float32 and given.ndim == 4 and given.size > 0
        if not raw or given.shape[1] != len(spec.channels):
            raise DataError(
                f"expected raw values as float32 (N, {len(spec.channels)}, Y, X) with "
                f"channels {', '.join(spec.names)}, found {given.dtype} of shape "
                f"{given.shape}; send acquisitions as they were measured"
            )
        return given

    def fingerprint(self, spec: Spec, card: Card) -> str:
        """What the reader, loader and normalizer must have given for the probe."""
        return expected_fingerprint(spec, geometry_of(card))


class RawAcquisitions(nn.Module):
    """Raw acquisitions (n, c, y, x) to units (n * units, c, h, w).

    Args:
        spec: What is applied to each whole acquisition.
        geometry: How it is cut.
    """

    def __init__(self, spec: Spec, geometry: GridGeometry) -> None:
        super().__init__()
        self.spec, self.geometry = spec, geometry
        self._normalizer = Normalizer(spec)

    def forward(self, raw_ncyx: Tensor) -> Tensor:
        """Normalize and cut.

        Raises:
            DataError: An acquisition is smaller than a unit, or a value does not fit
                its channel.
        """
        found = boxes(self.geometry, (raw_ncyx.shape[2], raw_ncyx.shape[3]))
        if not found:
            raise DataError(
                f"acquisitions have {tuple(raw_ncyx.shape[2:])} pixels, a unit "
                f"{self.geometry.window_yx}; send whole acquisitions"
            )
        images = [self._normalizer(self._planes(raw)) for raw in raw_ncyx.cpu().numpy()]
        units = [nodes(image, box, self.geometry) for image in images for box in found]
        return torch.from_numpy(np.stack(units)).to(raw_ncyx.device)

    def _planes(self, raw_cyx: NDArray[Any]) -> list[NDArray[Any]]:
        planes = []
        for channel, plane in zip(self.spec.channels, raw_cyx, strict=True):
            values = plane.astype(channel.input)
            if not np.array_equal(values, plane):
                raise DataError(
                    f"channel {channel.name} holds values that {channel.input} can't; "
                    "send acquisitions as they were measured"
                )
            planes.append(values)
        return planes


def geometry_of(card: Card) -> GridGeometry:
    """The grid that a card describes.

    Raises:
        BundleError: It is not understood, or is one of cells.
    """
    try:
        geometry = geometry_from_json(card.geometry)
    except (SettingsError, TypeError) as error:
        raise BundleError(f"the card's geometry is not understood: {error}") from error
    if not isinstance(geometry, GridGeometry):
        raise BundleError(
            f"the card's geometry is one of {geometry.kind}, but bundles hold networks "
            "of grids; use the normgate version that wrote it"
        )
    return geometry
