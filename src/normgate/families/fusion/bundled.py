"""What a bundle of the fusion family asks: network, raw input, what it predicts.

Raw input is whole cases (n, c, z, y, x) in the spec's order of channels, for statistics
are of the whole case; cutting and putting together again are inside.

Axes: n cases, r members, c channels, z slices, y rows, x columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from normgate.contract.ct import CT, modality
from normgate.errors import BundleError, DataError, SettingsError
from normgate.families.fusion.channels import condition_order
from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.evaluation import fused_units, unit_keys
from normgate.families.fusion.model import FusionModel, build
from normgate.families.fusion.settings import DiffusionSettings, ModelSettings
from normgate.transform.apply import Normalizer
from normgate.volumes.geometry import VolumeGeometry, boxes, crop, stitch
from normgate.volumes.pairing import looks_like_hu
from normgate.volumes.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec
    from normgate.engine.card import Card


class FusionBundles:
    """Implements `normgate.engine.bundle.Family`."""

    def network(self, spec: Spec, card: Card) -> nn.Module:
        """An untrained member as the card describes it."""
        settings = ModelSettings(**_settings(card, "model"))
        return build(settings, len(spec.channels))

    def raw_input(self, spec: Spec, card: Card) -> nn.Module:
        """Whole volumes to normalized ones, in the network's order of channels."""
        return WholeCases(spec)

    def fingerprint(self, spec: Spec, card: Card) -> str:
        """What the reader, loader and normalizer must have given for the probe."""
        return expected_fingerprint(spec, _geometry(card))

    def outputs(
        self, card: Card, network: nn.Module, units: Tensor
    ) -> Mapping[str, Tensor]:
        """`fused`, normalized, and `lesion`, a probability, both (n, z, y, x)."""
        assert isinstance(network, FusionModel)
        diffusion = Diffusion(_diffusion(card))
        geometry = _geometry(card)
        made = [
            _whole_case(network, diffusion, geometry, case)
            for case in units.cpu().numpy()
        ]
        fused, lesion = (np.stack(parts) for parts in zip(*made, strict=True))
        device = units.device
        return {
            "fused": torch.from_numpy(fused).to(device),
            "lesion": torch.from_numpy(lesion).to(device),
        }

    def combine(
        self, card: Card, outputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """`fused` and `lesion_probability` (n, z, y, x): means over the members."""
        return {
            "fused": outputs["fused"].mean(axis=0),
            "lesion_probability": outputs["lesion"].mean(axis=0),
        }

    def accept(self, spec: Spec, card: Card, given: NDArray[Any]) -> NDArray[Any]:
        """Raw volumes (n, c, z, y, x): the CT in HU, each channel of its own type."""
        names = ", ".join(spec.names)
        shaped = given.ndim == 5 and given.size > 0 and given.dtype.kind in "iuf"
        if not shaped or given.shape[1] != len(spec.channels):
            raise DataError(
                f"expected raw volumes (N, {len(spec.channels)}, Z, Y, X) with "
                f"channels {names}, found {given.dtype} of shape {given.shape}; "
                "send whole volumes as the scanner wrote them"
            )
        for number, case in enumerate(given):
            for channel, volume_zyx in zip(spec.channels, case, strict=True):
                _check_raw(number, channel, volume_zyx)
        return given


class WholeCases(nn.Module):
    """Raw volumes to normalized ones, with statistics of the whole case.

    Args:
        spec: Any spec with MRI and CT.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.order = list(condition_order(spec))
        self.normalizer = Normalizer(spec)

    def forward(self, raw_nczyx: Tensor) -> Tensor:
        """Normalize each case; float32 (n, c, z, y, x), on the input's device.

        Raises:
            DataError: A value does not fit its channel's type.
        """
        cases = [self._case(raw) for raw in raw_nczyx.cpu().numpy()]
        return torch.from_numpy(np.stack(cases)).to(raw_nczyx.device)

    def _case(self, raw_czyx: NDArray[Any]) -> NDArray[np.float32]:
        planes = [
            _typed(channel, volume_zyx)
            for channel, volume_zyx in zip(self.spec.channels, raw_czyx, strict=True)
        ]
        return self.normalizer(planes)[self.order]


def _whole_case(
    model: FusionModel,
    diffusion: Diffusion,
    geometry: VolumeGeometry,
    case_czyx: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut a normalized case, fuse its patches, and put them together."""
    _, slices, rows, columns = case_czyx.shape
    shape = (slices, rows, columns)
    found = boxes(geometry, shape)
    lowest = [float(volume.min()) for volume in case_czyx]
    condition = np.stack(
        [
            np.stack(
                [
                    crop(volume, box, geometry, low)
                    for volume, low in zip(case_czyx, lowest, strict=True)
                ]
            )
            for box in found
        ]
    )
    fused = fused_units(model, diffusion, condition, unit_keys(condition))
    image = stitch(fused.image, found, geometry, shape)
    return image, stitch(fused.lesion, found, geometry, shape)


def _typed(channel: Channel, volume_zyx: NDArray[Any]) -> NDArray[Any]:
    """A volume in its channel's own type, no value changed."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = volume_zyx.astype(channel.input)
    wrong = values.astype(np.float64) != volume_zyx
    if wrong.any():
        raise DataError(
            f"channel {channel.name} holds {volume_zyx[wrong][0]:g}, which "
            f"{channel.input} can't hold exactly; send the volume as the scanner wrote "
            "it, the CT in HU"
        )
    return values


def _check_raw(number: int, channel: Channel, volume_zyx: NDArray[Any]) -> None:
    if not np.isfinite(volume_zyx).all():
        raise DataError(
            f"channel {channel.name} of case {number} holds NaN or infinity; expected "
            "finite numbers"
        )
    low, high = float(volume_zyx.min()), float(volume_zyx.max())
    if modality(channel.name) == CT and not looks_like_hu(volume_zyx):
        raise DataError(
            f"channel {channel.name} of case {number} is not in HU: its values run "
            f"from {low:g} to {high:g}, while air lies near -1000 and brain at 0 to 80 "
            "HU; send the CT as the scanner wrote it, the model normalizes by itself"
        )
    _typed(channel, volume_zyx)


def _settings(card: Card, part: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = card.settings[part]
        return {**found}
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"the card's {part} settings are not understood ({error}); use the "
            f"normgate version that wrote it, {card.code_version}"
        ) from error


def _diffusion(card: Card) -> DiffusionSettings:
    try:
        return DiffusionSettings(**_settings(card, "diffusion"))
    except (TypeError, SettingsError) as error:
        raise BundleError(f"the card's diffusion is not understood: {error}") from error


def _geometry(card: Card) -> VolumeGeometry:
    try:
        return VolumeGeometry.from_json(card.geometry)
    except (SettingsError, TypeError) as error:
        raise BundleError(f"the card's geometry is not understood: {error}") from error
