"""Networks have the sizes that are documented, and see what they should see."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from normgate.families.fusion.model import FusionModel, build
from normgate.families.fusion.settings import ModelSettings


def made(**changed: Any) -> FusionModel:
    torch.manual_seed(0)
    return build(ModelSettings(**changed), conditions=2)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("changed", "parameters"),
    [
        pytest.param({}, 102_945, id="demo"),
        pytest.param({"size": "small"}, 2_735_521, id="small"),
        pytest.param({"size": "full", "dims": 3}, 9_783_681, id="full"),
    ],
)
def test_networks_have_the_documented_size(changed: dict, parameters: int) -> None:
    assert count(made(**changed).network) == parameters


def test_the_lesion_head_has_the_documented_size() -> None:
    assert count(made().lesion_head) == 5_137


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        pytest.param({}, (9, 14), id="demo-of-odd-size"),
        pytest.param({"dims": 3}, (3, 9, 14), id="demo-3d"),
        pytest.param({"conditioning": "pooled_legacy"}, (9, 14), id="pooled"),
        pytest.param({"size": "small"}, (9, 14), id="small"),
        pytest.param({"size": "full", "dims": 3}, (3, 9, 10), id="full"),
        pytest.param({"size": "full", "dims": 2}, (9, 10), id="full-2d"),
    ],
)
def test_any_size_of_image_comes_back_in_its_size(
    changed: dict, shape: tuple[int, ...]
) -> None:
    model = made(**changed).eval()
    noisy, condition = torch.randn(2, 1, *shape), torch.randn(2, 2, *shape)
    with torch.no_grad():
        prediction = model(noisy, torch.tensor([3, 700]), condition)
        assert prediction.shape == noisy.shape
        assert model.lesion(prediction).shape == noisy.shape


def test_padding_leaves_what_needs_none_alone() -> None:
    model = made(size="small").eval().network
    assert isinstance(model, torch.nn.Module)
    noisy, condition = torch.randn(1, 1, 8, 8), torch.randn(1, 2, 8, 8)
    t_b = torch.tensor([5])
    with torch.no_grad():
        direct = model.get_submodule("unet")(torch.cat([noisy, condition], 1), t_b)
        assert torch.equal(model(noisy, t_b, condition), direct)


def test_pooled_conditioning_does_not_know_where() -> None:
    """A shift by the encoder's whole stride, round the edge, leaves its vector."""
    model = made(conditioning="pooled_legacy").eval()
    noisy = torch.randn(1, 1, 32, 32)
    condition = torch.zeros(1, 2, 32, 32)
    condition[:, :, 8:16, 8:16] = 1.0
    moved = condition.roll((8, 8), dims=(2, 3))
    t_b = torch.tensor([5])
    with torch.no_grad():
        here, there = model(noisy, t_b, condition), model(noisy, t_b, moved)
    assert torch.allclose(here, there, atol=1e-5)
    with torch.no_grad():
        concat = made().eval()
        assert not torch.allclose(
            concat(noisy, t_b, condition), concat(noisy, t_b, moved), atol=1e-2
        )


def test_weights_follow_from_the_random_state() -> None:
    one, two = made().state_dict(), made().state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
