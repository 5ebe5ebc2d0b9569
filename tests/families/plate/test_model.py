"""The networks: their size, their shapes, and what can't be had."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from normgate.errors import SettingsError
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings


def parameters(settings: ModelSettings, channels: int) -> int:
    network = build(settings, channels, 2)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "channels", "count"),
    [
        pytest.param(ModelSettings(), 3, 19_154, id="demo-3"),
        pytest.param(ModelSettings(), 6, 19_586, id="demo-6"),
        pytest.param(
            ModelSettings(backbone="resnet10", width=0.25), 6, 312_290, id="resnet10"
        ),
        pytest.param(ModelSettings(backbone="resnet18"), 3, 11_178_434, id="resnet18"),
    ],
)
def test_a_backbone_has_its_known_size(
    settings: ModelSettings, channels: int, count: int
) -> None:
    assert parameters(settings, channels) == count


@pytest.mark.parametrize("size", [16, 21, 32])
def test_the_demo_network_takes_any_size(size: int) -> None:
    network = build(ModelSettings(), 3, 2).eval()
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 2)


def test_dropout_stands_before_the_last_layer() -> None:
    network = build(ModelSettings(backbone="resnet10", width=0.25), 3, 2).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 2)
    assert isinstance(network.get_submodule("fc.0"), torch.nn.Dropout)


@pytest.mark.skipif(
    importlib.util.find_spec("timm") is not None, reason="timm is installed"
)
def test_timm_that_is_not_installed_is_said_so() -> None:
    with pytest.raises(SettingsError, match=r"install normgate\[timm\]"):
        build(ModelSettings(backbone="timm:resnet18"), 3, 2)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"backbone": "resnet50"}, "backbone is 'resnet50', expected demo, resnet10"),
        ({"backbone": "timm:"}, "backbone is 'timm:'"),
        ({"backbone": "timm:hf-hub:x/y"}, "backbone is 'timm:hf-hub:x/y'"),
        ({"backbone": "timm:local-dir:/x"}, "backbone is 'timm:local-dir:/x'"),
        ({"dropout": 1.0}, r"dropout is 1\.0, expected a share"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"width": 0.0}, r"width is 0\.0, expected 0\.125 to 4"),
    ],
)
def test_a_network_that_can_not_be_is_refused(
    changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        ModelSettings(**changed)  # type: ignore[arg-type]
