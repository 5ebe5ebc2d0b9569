"""What a bundle of the IMC family asks: its network, its input, what it predicts.

Raw input is whole acquisitions (n, c, y, x) of one size, in the spec's order of
channels; each is normalized as a whole plane and cut into units, which follow one
another: (n * units, c, h, w). Where units are of cells, the label image follows the
channels as a last plane, and units are graphs of k cells, padded: (units, k, c). So
what was measured on an acquisition in training is measured on it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.acquisitions.geometry import CellGeometry, geometry_from_json
from normgate.acquisitions.probe import expected_fingerprint
from normgate.errors import BundleError, DataError, SettingsError
from normgate.families.imc.graph import CellGraphModel
from normgate.families.imc.model import Grid, build
from normgate.families.imc.raw_input import RawAcquisitions, RawCells
from normgate.families.imc.settings import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from normgate.acquisitions.geometry import Geometry
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
        geometry = geometry_of(card)
        if isinstance(geometry, CellGeometry) != (settings.arch == "cell_graph"):
            raise BundleError(
                f"the card's network is {settings.arch}, its units are "
                f"{geometry.kind}; they are not of one training"
            )
        if isinstance(geometry, CellGeometry):
            return CellGraphModel(settings, len(spec.channels))
        return build(settings, Grid(len(spec.channels), geometry.grid[0]))

    def raw_input(self, spec: Spec, card: Card) -> nn.Module:
        """Whole acquisitions to units."""
        geometry = geometry_of(card)
        if isinstance(geometry, CellGeometry):
            return RawCells(spec, geometry)
        return RawAcquisitions(spec, geometry)

    def outputs(
        self, card: Card, network: nn.Module, units: Tensor
    ) -> Mapping[str, Tensor]:
        """`latent` (n, d) and `reconstruction` (n, c, h, w), of cells (n, k, c)."""
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
        """Raw values as float32 (n, c, y, x), of cells (n, c + 1, y, x)."""
        cells = isinstance(geometry_of(card), CellGeometry)
        raw = given.dtype == np.float32 and given.ndim == 4 and given.size > 0
        planes = (*spec.names, *(["the label image of cells"] if cells else []))
        if not raw or given.shape[1] != len(planes):
            raise DataError(
                f"expected raw values as float32 (N, {len(planes)}, Y, X) with "
                f"channels {', '.join(planes)}, found {given.dtype} of shape "
                f"{given.shape}; send acquisitions as they were measured"
            )
        return given

    def fingerprint(self, spec: Spec, card: Card) -> str:
        """What the reader, loader and normalizer must have given for the probe."""
        return expected_fingerprint(spec, geometry_of(card))


def geometry_of(card: Card) -> Geometry:
    """The units that a card describes.

    Raises:
        BundleError: They are not understood.
    """
    try:
        return geometry_from_json(card.geometry)
    except (SettingsError, TypeError) as error:
        raise BundleError(f"the card's geometry is not understood: {error}") from error
