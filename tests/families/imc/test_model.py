"""Networks have the sizes that are documented, and the symmetries that they claim."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from normgate.families.imc import symmetry
from normgate.families.imc.model import Grid, ImcModel, build, gaussian
from normgate.families.imc.settings import ModelSettings

GRID = Grid(channels=5, side=4)
KINDS = [
    pytest.param({}, id="node-mlp"),
    pytest.param({"revin": True}, id="revin"),
    pytest.param({"arch": "cls_transformer"}, id="transformer"),
    pytest.param({"arch": "d4", "permuter": "d4"}, id="d4"),
    pytest.param({"arch": "d4", "permuter": "d4_mixture_legacy"}, id="mixture"),
    pytest.param({"arch": "set_legacy"}, id="set"),
]


def made(grid: Grid = GRID, **changed: Any) -> ImcModel:
    torch.manual_seed(0)
    return build(ModelSettings(**changed), grid).eval()


def units(count: int = 7, grid: Grid = GRID) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, grid.channels, grid.side, grid.side, generator=generator)


@pytest.mark.parametrize(
    ("changed", "parameters"),
    [
        pytest.param({}, 447_080, id="node-mlp"),
        pytest.param({"arch": "cls_transformer"}, 161_664, id="transformer"),
        pytest.param({"arch": "d4", "permuter": "d4"}, 530_517, id="d4"),
    ],
)
def test_networks_have_the_documented_size(changed: dict, parameters: int) -> None:
    model = made(Grid(channels=128, side=6), **changed)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("changed", KINDS)
def test_units_come_back_in_their_shape(changed: dict) -> None:
    with torch.inference_mode():
        latent, image = made(**changed)(units())
    assert latent.shape == (7, 32)
    assert image.shape == units().shape


@pytest.mark.parametrize("changed", KINDS)
def test_weights_of_candidates_sum_to_one(changed: dict) -> None:
    model = made(**changed)
    with torch.inference_mode():
        found = model.decode(model.encode(units()).mu, units())
    assert torch.allclose(found.weights_bk.sum(dim=1), torch.ones(7))


@pytest.mark.parametrize("turn", range(symmetry.COUNT))
def test_the_d4_latent_is_the_same_for_every_symmetry(turn: int) -> None:
    model = made(arch="d4", permuter="d4")
    with torch.inference_mode():
        here = model.encode(units()).mu
        there = model.encode(symmetry.turned(units(), turn)).mu
    assert float((here - there).abs().max()) < 1e-6


@pytest.mark.parametrize("turn", range(symmetry.COUNT))
def test_the_d4_choice_turns_with_its_unit(turn: int) -> None:
    model = made(arch="d4", permuter="d4")
    assert model.orientation is not None
    with torch.inference_mode():
        here = model.orientation(units())
        there = model.orientation(symmetry.turned(units(), turn))
    moved = torch.stack(
        [there[:, symmetry.product(turn, k)] for k in range(symmetry.COUNT)], dim=1
    )
    assert torch.allclose(here, moved, atol=1e-6)


def test_the_plain_encoder_knows_a_turned_unit_from_the_other() -> None:
    model = made()
    with torch.inference_mode():
        here = model.encode(units()).mu
        there = model.encode(symmetry.turned(units(), 1)).mu
    assert float((here - there).abs().mean()) > 1e-2


def test_symmetries_form_a_group() -> None:
    grid = torch.arange(16.0).reshape(1, 1, 4, 4)
    every = symmetry.all_turned(grid)[0]
    assert len({tuple(one.flatten().tolist()) for one in every}) == symmetry.COUNT
    for one in range(symmetry.COUNT):
        turned = symmetry.turned(grid, one)
        assert torch.equal(symmetry.turned(turned, symmetry.inverse(one)), grid)
        for two in range(symmetry.COUNT):
            both = symmetry.turned(grid, symmetry.product(two, one))
            assert torch.equal(symmetry.turned(turned, two), both)


def test_silu_keeps_every_sigma_wide_and_linear_does_not() -> None:
    both = torch.linspace(-50, 50, 400).reshape(-1, 2)
    silu, linear = gaussian("silu_legacy", both), gaussian("linear", both)
    assert float((silu.logvar / 2).exp().min()) >= 0.870 - 1e-3
    assert float(silu.mu.min()) >= -0.279
    assert float((linear.logvar / 2).exp().min()) < 0.01


def test_revin_hands_a_units_own_mean_and_std_to_the_latent() -> None:
    """A change of level or gain that the encoder itself never sees."""
    model = made(revin=True)
    with torch.inference_mode():
        here, louder = model.encode(units()).mu, model.encode(3 * units() + 2).mu
    assert float((here - louder).abs().mean()) > 1e-2


def test_weights_follow_from_the_random_state() -> None:
    one, two = made().state_dict(), made().state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
