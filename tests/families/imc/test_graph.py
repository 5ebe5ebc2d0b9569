"""Cell graphs: the latent does not know the order of cells, and the permuter does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from normgate.acquisitions.cells import both_ways
from normgate.acquisitions.graph import nearest
from normgate.families.imc.graph import (
    CellGraphModel,
    graph_loss,
    sharpness_loss,
    soft_ranks,
)
from normgate.families.imc.settings import LossSettings, ModelSettings

CELLS = (9, 7, 12)
CHANNELS = 4


def model(permuter: Any = "softsort") -> CellGraphModel:
    torch.manual_seed(0)
    settings = ModelSettings(arch="cell_graph", permuter=permuter, latent=6)
    return CellGraphModel(settings, CHANNELS)


def batch(order: list[np.ndarray] | None = None) -> dict[str, torch.Tensor]:
    """Three padded graphs of nearest cells, their cells in some order."""
    rng = np.random.default_rng(0)
    most = max(CELLS)
    units, mask = torch.zeros(3, most, CHANNELS), torch.zeros(3, most, dtype=torch.bool)
    edges = torch.full((3, 2, 120), -1)
    for number, cells in enumerate(CELLS):
        places = rng.uniform(0, 50, size=(cells, 2)).astype(np.float32)
        values = rng.normal(size=(cells, CHANNELS)).astype(np.float32)
        if order is not None:
            places, values = places[order[number]], values[order[number]]
        found = torch.from_numpy(both_ways(nearest(places, 3)))
        units[number, :cells] = torch.from_numpy(values)
        mask[number, :cells] = True
        edges[number, :, : found.shape[1]] = found
    noise = torch.from_numpy(rng.normal(size=(3, 6)).astype(np.float32))
    return {"units": units, "mask": mask, "edges": edges, "noise": noise}


def orders(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(cells) for cells in CELLS]


@pytest.mark.parametrize("seed", range(3))
def test_the_latent_is_the_same_for_any_order_of_the_cells(seed: int) -> None:
    own = model().eval()
    with torch.inference_mode():
        one, two = (
            own.encode(own.features(some), some["mask"]).mu
            for some in (batch(), batch(orders(seed)))
        )
    assert torch.allclose(one, two, atol=1e-5)


def test_the_permuter_follows_the_order_of_the_cells() -> None:
    own, order = model().eval(), orders(0)
    one, two = batch(), batch(order)
    with torch.inference_mode():
        decoded = []
        for some in (one, two):
            features = own.features(some)
            mu = own.encode(features, some["mask"]).mu
            decoded.append(own.decode(mu, features, some["mask"]).cells_bnc)
    for number, cells in enumerate(CELLS):
        moved = decoded[0][number, :cells][torch.from_numpy(order[number])]
        assert torch.allclose(moved, decoded[1][number, :cells], atol=1e-4)


def test_other_graphs_and_padding_do_not_change_a_latent() -> None:
    own, some = model().eval(), batch()
    alone = {key: value[1:2] for key, value in some.items()}
    alone["units"], alone["mask"] = alone["units"][:, :7], alone["mask"][:, :7]
    with torch.inference_mode():
        among = own.encode(own.features(some), some["mask"]).mu[1]
        single = own.encode(own.features(alone), alone["mask"]).mu[0]
    assert torch.allclose(among, single, atol=1e-5)


def test_soft_ranks_sort_scores_and_leave_padding_last() -> None:
    scores = torch.tensor([[10.0, 40.0, 20.0, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    found = soft_ranks(scores, mask)[0].argmax(dim=1)
    assert found.tolist()[:3] == [2, 0, 1]
    assert float(sharpness_loss(soft_ranks(scores, mask), mask)) < 1e-6
    even = torch.zeros(1, 4)
    assert float(sharpness_loss(soft_ranks(even, mask), mask)) > 1


def test_every_parameter_and_every_weight_gets_a_gradient() -> None:
    own, some = model(), batch()
    settings = LossSettings(kld_scale=0.1, cosine=0.5, perm=0.2, warmup=0.0)
    loss, _ = graph_loss(own, settings, some, 1.0)
    loss.backward()
    for name, parameter in own.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize("permuter", ["none", "softsort"])
def test_it_overfits_three_graphs(permuter: str) -> None:
    own, some = model(permuter), batch()
    settings = LossSettings(kld_scale=0.0, cosine=0.0, warmup=0.0)
    optimizer = torch.optim.AdamW(own.parameters(), lr=5e-3)
    some["noise"] = torch.zeros_like(some["noise"])
    losses = []
    for _ in range(60):
        loss, _ = graph_loss(own, settings, some, 1.0)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
