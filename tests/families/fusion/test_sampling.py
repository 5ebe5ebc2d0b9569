"""A sampler that works makes the data when the network is perfect."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

from normgate.families.fusion import sampling
from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.model import build
from normgate.families.fusion.sampling import UnitNoise, fuse, oracle_share, sample
from normgate.families.fusion.settings import DiffusionSettings, ModelSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize("prediction", ["v", "x0", "eps_legacy"])
@pytest.mark.parametrize("steps", [10, 20, 100])
def test_ddim_with_a_perfect_network_makes_the_data(
    steps: int, prediction: Any
) -> None:
    assert oracle_share(DiffusionSettings(steps=steps, prediction=prediction)) > 0.99


@pytest.mark.parametrize(
    ("steps", "share"),
    [(10, 0.19), (20, 0.20), (50, 0.24), (100, 0.30), (250, 0.56), (1000, 0.998)],
)
def test_the_incidents_sampler_needs_every_level(steps: int, share: float) -> None:
    settings = DiffusionSettings(
        sampler="ddpm_subsampled_legacy", prediction="eps_legacy", steps=steps
    )
    assert oracle_share(settings) == pytest.approx(share, abs=0.025)


def test_regression_has_no_sampler_to_test() -> None:
    share = oracle_share(DiffusionSettings(mode="regression"))
    assert share != share


def test_levels_start_in_noise_and_are_evenly_spaced() -> None:
    visited = sampling.levels(DiffusionSettings(steps=20))
    assert visited[0] == 999
    assert visited[-1] == 49
    assert {a - b for a, b in pairwise(visited)} == {50}
    every = sampling.levels(DiffusionSettings(steps=1000))
    assert every == list(range(999, -1, -1))
    assert len(set(sampling.levels(DiffusionSettings(steps=7)))) == 7


def test_where_noise_is_predicted_levels_start_where_that_says_something() -> None:
    visited = sampling.levels(DiffusionSettings(steps=20, prediction="eps_legacy"))
    assert visited == list(range(950, -1, -50))


def test_monais_ddim_steps_beside_its_own_levels() -> None:
    """Why the sampler is ours: see the module's first paragraph."""
    peer = DDIMScheduler(
        num_train_timesteps=1000,
        schedule="cosine",
        prediction_type="sample",
        clip_sample=False,
    )
    peer.set_timesteps(5)
    visited = [int(t) for t in peer.timesteps]
    assert visited[0] - visited[1] == 250 != 1000 // 5
    noisy = UnitNoise(["oracle"], (1, 64, 64), CPU).draw()
    diffusion = Diffusion(DiffusionSettings())
    for t in visited:
        level = diffusion.weight(torch.tensor([t]))
        noisy, _ = peer.step(sampling._posterior_mean(noisy, level), t, noisy)
    distance = (noisy[..., None] - torch.tensor(sampling.ORACLE_MODES)).abs()
    theirs = float((distance.amin(-1) < 3 * sampling.ORACLE_SD).float().mean())
    assert oracle_share(DiffusionSettings(steps=5)) > theirs + 0.05


def test_the_incidents_sampler_is_monais_ddpm_on_levels_that_it_was_not_made_for() -> (
    None
):
    settings = DiffusionSettings(
        sampler="ddpm_subsampled_legacy", prediction="x0", steps=20
    )
    diffusion = Diffusion(settings)
    peer = DDPMScheduler(
        num_train_timesteps=1000,
        schedule="cosine",
        prediction_type="sample",
        variance_type="fixed_large",
        clip_sample=False,
    )
    noise = UnitNoise(["a"], (1, 8, 8), CPU)
    ours = sample(lambda x, t: 0.5 * x, diffusion, UnitNoise(["a"], (1, 8, 8), CPU))
    noisy = noise.draw()
    for t in range(950, -1, -50):
        noisy, _ = peer.step(0.5 * noisy, t, noisy, torch.Generator().manual_seed(t))
        if t:  # exchange their noise for ours
            spread = peer.betas[t].sqrt()
            theirs = torch.randn(
                noisy.shape, generator=torch.Generator().manual_seed(t)
            )
            noisy = noisy + spread * (noise.draw() - theirs)
    assert torch.allclose(ours, noisy, atol=1e-3)


def test_a_unit_is_fused_alike_in_any_company() -> None:
    torch.manual_seed(0)
    model = build(ModelSettings(), conditions=2).eval()
    condition = torch.randn(3, 2, 12, 12)
    for sampler in ("ddim", "ddpm_subsampled_legacy"):
        diffusion = Diffusion(DiffusionSettings(steps=4, sampler=sampler))
        keys = ["a", "b", "c"]
        together = fuse(model, diffusion, condition, keys)
        again = fuse(model, diffusion, condition, keys)
        assert torch.equal(together, again)
        alone = fuse(model, diffusion, condition[1:2], ["b"])
        assert torch.allclose(alone, together[1:2], atol=1e-4)
        assert not torch.allclose(fuse(model, diffusion, condition, keys, 1), together)


def test_regression_fuses_in_one_step_without_noise() -> None:
    torch.manual_seed(0)
    model = build(ModelSettings(), conditions=2).eval()
    diffusion = Diffusion(DiffusionSettings(mode="regression"))
    condition = torch.randn(2, 2, 12, 12)
    one = fuse(model, diffusion, condition, ["a", "b"])
    two = fuse(model, diffusion, condition, ["c", "d"], seed=9)
    assert torch.equal(one, two)
    with torch.no_grad():
        level = torch.zeros(2, dtype=torch.long)
        direct = model(torch.zeros(2, 1, 12, 12), level, condition)
    assert torch.equal(one, direct)


@pytest.mark.parametrize("bound", ["tanh", "hard_legacy"])
def test_fused_images_stay_within_their_bound(bound: Any) -> None:
    diffusion = Diffusion(DiffusionSettings(steps=3, bound=bound))
    noise = UnitNoise(["a"], (1, 8, 8), CPU)
    drawn = sample(lambda x, t: 50 * x, diffusion, noise)
    assert diffusion.bounds is not None
    low, high = diffusion.bounds
    assert low <= float(drawn.min()) < float(drawn.max()) <= high
