"""Predictions turn into images and back; bounds bound, and say where they kill."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.settings import DiffusionSettings

T_B = torch.tensor([0, 250, 500, 990])


def of(**changed: Any) -> Diffusion:
    return Diffusion(DiffusionSettings(**changed))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(4, 1, 6, 7, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(4, 1, 6, 7, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("prediction", ["v", "x0", "eps_legacy"])
def test_a_perfect_prediction_gives_the_image_back(
    prediction: str, image: torch.Tensor, noise: torch.Tensor
) -> None:
    diffusion = of(prediction=prediction)
    noisy = diffusion.noised(image, noise, T_B)
    found = diffusion.image(diffusion.target(image, noise, T_B), noisy, T_B)
    assert torch.allclose(found, image, atol=1e-4)
    assert torch.allclose(diffusion.noise(image, noisy, T_B), noise, atol=1e-3)


def test_noise_and_velocity_are_monais(
    image: torch.Tensor, noise: torch.Tensor
) -> None:
    peer = DDPMScheduler(num_train_timesteps=1000, schedule="cosine")
    diffusion = of()
    ours = diffusion.noised(image, noise, T_B)
    assert torch.allclose(ours, peer.add_noise(image, noise, T_B), atol=1e-6)
    velocity = peer.get_velocity(image, noise, T_B)
    assert torch.allclose(diffusion.target(image, noise, T_B), velocity, atol=1e-6)


def test_regression_has_neither_noise_nor_level(
    image: torch.Tensor, noise: torch.Tensor
) -> None:
    diffusion = of(mode="regression", prediction="eps_legacy")
    assert not diffusion.noised(image, noise, T_B).any()
    assert torch.equal(diffusion.target(image, noise, T_B), image)
    assert torch.equal(diffusion.image(image, noise, T_B), image)
    assert diffusion.weight(T_B).tolist() == [1.0] * 4
    assert not diffusion.levels(50, torch.Generator()).any()


def test_levels_cover_the_schedule_and_weights_fall_along_it() -> None:
    diffusion = of()
    drawn = diffusion.levels(20_000, torch.Generator().manual_seed(0))
    assert drawn.min() == 0
    assert drawn.max() == 999
    weights = diffusion.weight(torch.arange(1000))
    assert (weights.diff() < 0).all()
    assert float(weights[0]) == pytest.approx(1, abs=1e-3)
    assert float(weights[-1]) < 1e-6


@pytest.mark.parametrize(
    ("changed", "value", "bounded"),
    [
        pytest.param({"bound": "none"}, 40.0, 40.0, id="none"),
        pytest.param({"bound": "hard_legacy"}, 40.0, 5.0, id="hard-above"),
        pytest.param({"bound": "hard_legacy"}, -3.5, -3.0, id="hard-below"),
        # The incident's soft clamp can't represent its own MRI maximum.
        pytest.param({"bound": "tanh"}, 4.65, 3.29, id="tanh-distorts"),
        pytest.param({"bound": "dynamic"}, 40.0, 40.0, id="dynamic-not-in-training"),
    ],
)
def test_bounds_bound(changed: dict, value: float, bounded: float) -> None:
    found = of(**changed).bounded(torch.full((1, 1, 2, 2), value))
    assert float(found.max()) == pytest.approx(bounded, abs=0.01)


def test_the_dynamic_bound_clips_each_unit_to_its_own_quantiles() -> None:
    image = torch.stack([torch.linspace(-1, 1, 100), torch.linspace(-9, 9, 100)])
    image = image.reshape(2, 1, 10, 10).contiguous()
    image[0, 0, 0, 0] = -500.0
    found = of(bound="dynamic", bound_quantile=0.99).bounded(image, sampling=True)
    assert found[0].min() > -1
    assert found[1].max() == pytest.approx(9 - 18 / 99)
    assert of(bound="dynamic", bound_quantile=1.0).bounded(
        image, sampling=True
    ).min() == pytest.approx(-500)


@pytest.mark.parametrize("bound", ["none", "tanh", "hard_legacy", "dynamic"])
def test_the_zero_gradient_fraction_is_that_of_autograd(bound: str) -> None:
    diffusion = of(bound=bound)
    image = torch.linspace(-60, 60, 400).reshape(1, 1, 20, 20).requires_grad_()
    diffusion.bounded(image).sum().backward()
    assert image.grad is not None
    dead = float((image.grad == 0).float().mean())
    fraction = diffusion.zero_gradient_fraction(image.detach())
    assert fraction == pytest.approx(dead, abs=0.02)
    assert (fraction > 0) == (bound in ("tanh", "hard_legacy"))


def test_noise_prediction_meets_the_hard_bound_at_high_levels_and_v_does_not(
    image: torch.Tensor, noise: torch.Tensor
) -> None:
    """An untrained network, as good as predicting nothing."""
    for prediction, low, high in (("eps_legacy", 0.8, 1.0), ("v", 0.0, 0.02)):
        diffusion = of(prediction=prediction, bound="hard_legacy")
        t_b = torch.full((4,), 985)
        noisy = diffusion.noised(image, noise, t_b)
        found = diffusion.image(torch.zeros_like(noisy), noisy, t_b)
        assert low <= diffusion.zero_gradient_fraction(found) <= high
