"""The networks of the plate family: units (n, c, size, size) to logits (n, k).

`demo` is three convolutions for small crops (19,154 parameters with 3 channels);
`resnet10` and `resnet18` are MONAI's, in two dimensions; `timm:<name>` is any of timm's
classifiers, untrained, where the extra [timm] is installed.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import torch
from torch import nn

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from types import ModuleType

    from normgate.families.plate.settings import ModelSettings

DEMO_WIDTHS = (16, 32, 48)


def build(settings: ModelSettings, channels: int, classes: int) -> nn.Module:
    """Make an untrained network; its weights follow from torch's random state.

    Raises:
        SettingsError: The backbone is not installed or not known to its library.
    """
    if settings.backbone == "demo":
        return demo(channels, classes, settings.dropout)
    if settings.backbone.startswith("timm:"):
        return _timm(settings, channels, classes)
    return _monai(settings, channels, classes)


def demo(channels: int, classes: int, dropout: float) -> nn.Sequential:
    """Three convolutions with batch norm and pooling, averaged, then one layer."""
    layers: list[nn.Module] = []
    before = channels
    for width in DEMO_WIDTHS:
        layers += [
            nn.Conv2d(before, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    layers.append(nn.Linear(before, classes))
    return nn.Sequential(*layers)


def _monai(settings: ModelSettings, channels: int, classes: int) -> nn.Module:
    from monai.networks.nets import resnet10, resnet18

    make = {"resnet10": resnet10, "resnet18": resnet18}[settings.backbone]
    network: nn.Module = make(
        spatial_dims=2,
        n_input_channels=channels,
        num_classes=classes,
        widen_factor=settings.width,
    )
    head = network.get_submodule("fc")
    network.fc = nn.Sequential(nn.Dropout(settings.dropout), head)
    return network


def _timm(settings: ModelSettings, channels: int, classes: int) -> nn.Module:
    name = settings.backbone.removeprefix("timm:")
    try:
        timm = _import_timm()
    except (ImportError, RuntimeError) as error:
        raise SettingsError(
            f"backbone {settings.backbone} needs timm and torchvision ({error}); "
            "install normgate[timm], or use demo, resnet10 or resnet18"
        ) from error
    try:
        network: nn.Module = timm.create_model(
            name,
            pretrained=False,
            in_chans=channels,
            num_classes=classes,
            drop_rate=settings.dropout,
        )
    except RuntimeError as error:
        raise SettingsError(
            f"timm has no model {name!r} ({error}); see timm.list_models()"
        ) from error
    return network


def _import_timm() -> ModuleType:
    """Import timm, beside a torchvision that may be built for another torch.

    A torchvision wheel for CUDA beside torch for CPU finds no compiled `nms` and
    refuses to be imported at all (pytorch/vision issues 9077, 9085). Declaring the
    operators is enough, for no classifier calls them.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        arguments = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for operator in ("nms", "qnms"):
            _DECLARED.define(operator + arguments)  # type: ignore[no-untyped-call]
    return importlib.import_module("timm")


_DECLARED = torch.library.Library(  # type: ignore[no-untyped-call]
    "torchvision", "FRAGMENT"
)
"""Declarations last as long as their library object."""
