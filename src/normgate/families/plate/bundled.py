"""What a bundle of the plate family asks: its network, its input, its fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.engine.normalize import RawInput
from normgate.errors import BundleError, SettingsError
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings
from normgate.plates.geometry import Geometry
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from torch import nn

    from normgate.contract import Spec
    from normgate.engine.card import Card


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


def _geometry(card: Card) -> Geometry:
    try:
        return Geometry.from_json(card.geometry)
    except (SettingsError, TypeError) as error:
        raise BundleError(f"the card's geometry is not understood: {error}") from error
