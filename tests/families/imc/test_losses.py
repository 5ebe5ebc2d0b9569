"""Losses are what their formula says, and every weight reaches a gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from normgate.errors import SettingsError
from normgate.families.imc import symmetry
from normgate.families.imc.liveness import dead_weights, refuse_dead_weights
from normgate.families.imc.losses import (
    WEIGHTS,
    divergence,
    image_terms,
    permutation_loss,
    training_loss,
)
from normgate.families.imc.model import (
    Candidates,
    Grid,
    Latent,
    build,
    one_candidate,
)
from normgate.families.imc.settings import LossSettings, ModelSettings

GRID = Grid(channels=5, side=4)
ALL = LossSettings(
    kld_scale=1e-2, cosine=0.5, gradient=0.3, perm=0.2, warmup=0.0, free_bits=0.0
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(count: int = 6) -> dict[str, torch.Tensor]:
    return {"units": random(count, 5, 4, 4), "noise": random(count, 32, seed=1)}


def model(**changed: Any) -> Any:
    torch.manual_seed(0)
    return build(ModelSettings(arch="d4", permuter="d4", **changed), GRID)


def kl(kind: dict[str, Any], latent: Latent) -> float:
    return float(divergence(latent, LossSettings(**kind)).reported)


def test_the_true_kl_is_that_of_torch() -> None:
    latent = Latent(random(9, 4), random(9, 4, seed=1))
    normal = torch.distributions.Normal(latent.mu, (latent.logvar / 2).exp())
    prior = torch.distributions.Normal(torch.zeros(9, 4), torch.ones(9, 4))
    each = torch.distributions.kl_divergence(normal, prior)
    found = divergence(latent, LossSettings(free_bits=2.0))
    assert float(found.true) == pytest.approx(float(each.sum(1).mean()), rel=1e-5)


def test_a_collapsed_posterior_reports_what_is_free() -> None:
    """64 dimensions at 2 nats: 128 "healthy" nats of a latent that says nothing."""
    latent = Latent(torch.zeros(3, 64), torch.zeros(3, 64))
    assert kl({"free_bits": 2.0}, latent) == 128
    mean = {"free_bits": 2.0, "kl_reduction": "mean_legacy"}
    assert kl({**mean, "free_bits_mode": "elementwise_legacy"}, latent) == 2.0
    assert float(divergence(latent, LossSettings(free_bits=2.0)).true) == 0


def test_floors_lie_where_their_names_say() -> None:
    mu = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    latent = Latent(mu, torch.zeros(2, 2))
    assert kl({"free_bits": 0.5}, latent) == pytest.approx(1.0 + 0.5)
    elementwise = {"free_bits": 0.5, "free_bits_mode": "elementwise_legacy"}
    assert kl(elementwise, latent) == pytest.approx((2.0 + 0.5) / 2 + 0.5)


def test_the_elementwise_floor_has_no_gradient_below_it() -> None:
    mu = (0.1 * random(4, 3)).requires_grad_()
    own = LossSettings(free_bits=2.0, free_bits_mode="elementwise_legacy")
    divergence(Latent(mu, torch.zeros(4, 3)), own).reported.backward()
    assert mu.grad is not None
    assert float(mu.grad.abs().sum()) == 0


def test_image_terms_are_numpys() -> None:
    images, truth = random(3, 5, 4, 4), random(3, 5, 4, 4, seed=1)
    found = image_terms(one_candidate(images), truth)
    a, b = images.numpy(), truth.numpy()
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    steps = [np.abs(np.diff(a, axis=k) - np.diff(b, axis=k)).mean() for k in (2, 3)]
    assert float(found["mse"]) == pytest.approx(np.square(a - b).mean(), rel=1e-5)
    assert float(found["cosine"]) == pytest.approx(1 - cosine.mean(), rel=1e-5)
    assert float(found["gradient"]) == pytest.approx(sum(steps), rel=1e-5)


def test_a_mixture_of_all_symmetries_is_no_way_round_the_expectation() -> None:
    """The mean image has a smaller error than the mean of the errors."""
    every = symmetry.all_turned(random(3, 5, 4, 4))
    even = torch.full((3, 8), 1 / 8)
    truth = every[:, 2]
    expected = image_terms(Candidates(every, even, even), truth)["mse"]
    mixture = image_terms(one_candidate(every.mean(1)), truth)["mse"]
    assert float(expected) > 1.5 * float(mixture)
    sure = torch.nn.functional.one_hot(torch.full((3,), 2), 8).float()
    assert float(image_terms(Candidates(every, sure, sure), truth)["mse"]) == 0


def test_the_permutation_loss_counts_use_not_accuracy() -> None:
    images = torch.zeros(8, 8, 1, 2, 2)
    eight = torch.eye(8)
    even = permutation_loss(Candidates(images, eight, eight))
    one = eight[:1].expand(8, -1)
    assert float(even) == pytest.approx(0, abs=1e-6)
    uneven = permutation_loss(Candidates(images, one, one))
    assert float(uneven) == pytest.approx(math.log(8), rel=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_weight_that_can_be_set_changes_the_gradient(name: str) -> None:
    own, one = model(), batch()

    def gradient(settings: LossSettings) -> torch.Tensor:
        loss, _ = training_loss(own, settings, one, 1.0)
        found = torch.autograd.grad(loss, list(own.parameters()))
        return torch.cat([x.flatten() for x in found])

    doubled = replace(ALL, **{name: 2 * getattr(ALL, name)})
    difference = gradient(doubled) - gradient(ALL)
    assert float(difference.abs().max()) > 1e-6


def test_a_live_loss_has_no_dead_weight_even_below_the_floor() -> None:
    own, one = model(), batch()
    resting = replace(ALL, free_bits=100.0, warmup=1.0)

    def loss(settings: LossSettings) -> torch.Tensor:
        return training_loss(own, settings, one, 0.0)[0]

    assert dead_weights(own, resting, loss) == ()


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_that_is_left_out_of_the_sum_is_found(name: str) -> None:
    own, one = model(), batch()

    def loss(settings: LossSettings) -> torch.Tensor:
        return training_loss(own, replace(settings, **{name: 0.0}), one, 1.0)[0]

    assert dead_weights(own, ALL, loss) == (name,)
    with pytest.raises(SettingsError, match=f"doubling {name}"):
        refuse_dead_weights(own, ALL, loss)


def test_warm_up_raises_the_kl_from_nothing() -> None:
    own, one = model(), batch()
    settings = replace(ALL, warmup=0.5, kld_scale=1.0)
    losses = {
        done: float(training_loss(own, settings, one, done)[0].detach())
        for done in (0.0, 0.25, 0.5, 1.0)
    }
    _, parts = training_loss(own, settings, one, 0.0)
    step = 0.5 * parts["kl_reported"]
    assert losses[0.25] - losses[0.0] == pytest.approx(step, rel=1e-3)
    assert losses[0.5] == losses[1.0]


def test_both_kls_are_always_recorded() -> None:
    _, parts = training_loss(model(), replace(ALL, kld_scale=0.0), batch(), 1.0)
    assert set(parts) == {
        "mse", "cosine", "gradient", "perm", "kl_reported", "kl_true",
    }  # fmt: skip
