"""Losses are what their formula says, and their gradients reach every weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.families.fusion.heads import SPANS, batch, references
from torchmetrics.functional.image import structural_similarity_index_measure

from normgate.errors import SettingsError
from normgate.families.fusion.diffusion import Diffusion
from normgate.families.fusion.losses import (
    Span,
    composed,
    global_ssim,
    lesion_loss,
    local_ssim,
    total,
    training_loss,
)
from normgate.families.fusion.model import build
from normgate.families.fusion.sampling import fuse
from normgate.families.fusion.settings import (
    DiffusionSettings,
    LossSettings,
    ModelSettings,
)

TWO = Span(low=0.0, high=2.0)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def heads() -> dict[str, torch.Tensor]:
    return batch(references(), Diffusion(DiffusionSettings()))


def pieces(heads: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    condition = heads["condition"]
    return condition[:, :1], condition[:, 1:2], heads["brain"], heads["bone"]


def peer(a: torch.Tensor, b: torch.Tensor, data_range: float) -> torch.Tensor:
    _, each = structural_similarity_index_measure(
        a, b, sigma=1.5, data_range=data_range, reduction="none", return_full_image=True
    )
    return each


def test_local_ssim_of_a_whole_slice_is_that_of_torchmetrics() -> None:
    a, b = torch.zeros(2, 1, 34, 40), torch.zeros(2, 1, 34, 40)
    # Edges are treated differently, so nothing is there.
    a[..., 10:-10, 10:-10] = random(2, 1, 14, 20)
    b[..., 10:-10, 10:-10] = random(2, 1, 14, 20) + 0.7 * random(2, 1, 14, 20, seed=1)
    ours = local_ssim(a, b, torch.ones_like(a), Span(low=0.0, high=3.0))
    assert torch.allclose(ours, peer(a, b, 3.0).mean(dim=(1, 2, 3)), atol=1e-5)


def test_a_window_sees_the_part_of_it_that_lies_in_the_region() -> None:
    a, b = random(1, 1, 12, 12), random(1, 1, 12, 12, seed=1)
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[..., 3:6, 4:9] = True
    y, x = np.mgrid[:12, :12]
    inside = mask[0, 0].numpy()
    one, two = a[0, 0].double().numpy()[inside], b[0, 0].double().numpy()[inside]
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    values = []
    for row, column in np.argwhere(inside):
        far = (y - row) ** 2 + (x - column) ** 2
        near = (abs(y - row) <= 5) & (abs(x - column) <= 5)
        weight = (np.exp(-far / (2 * 1.5**2)) * near)[inside]
        weight /= weight.sum()
        m, n = (weight * one).sum(), (weight * two).sum()
        v, w = (weight * (one - m) ** 2).sum(), (weight * (two - n) ** 2).sum()
        both = (weight * (one - m) * (two - n)).sum()
        values.append(
            (2 * m * n + c1) * (2 * both + c2) / ((m**2 + n**2 + c1) * (v + w + c2))
        )
    assert float(local_ssim(a, b, mask, TWO)) == pytest.approx(
        np.mean(values), abs=1e-5
    )


def test_a_copy_of_the_regions_is_perfect_only_where_windows_keep_to_them(
    heads: dict[str, torch.Tensor],
) -> None:
    """Why the SSIM is ours: see the module's first paragraph."""
    mri, ct, brain, bone = pieces(heads)
    copy = composed("roi_composite", mri, ct, brain, bone)
    assert torch.allclose(
        local_ssim(copy, ct, bone, SPANS.ct), torch.ones(6), atol=1e-4
    )
    assert float(peer(copy, ct, 4.4)[bone].mean()) < 0.8


def test_ssim_is_one_of_equals_and_of_nothing_and_may_be_negative() -> None:
    a = random(2, 1, 16, 16)
    mask = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    for kind in (lambda *x: local_ssim(*x, TWO), global_ssim):
        assert torch.allclose(kind(a, a, mask), torch.ones(2), atol=1e-4)
        assert (kind(a + 3, 3 - a, mask) < -0.1).all()
    assert torch.equal(local_ssim(a, -a, ~mask, TWO), torch.ones(2))


def test_a_negative_is_told_from_its_image_by_the_local_ssim_alone() -> None:
    """Standardized bone and its negative: the incident's SSIM calls them one."""
    bone = 1.5 + 0.3 * random(1, 1, 16, 16)
    mask = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    assert float(global_ssim(-bone, bone, mask)) > 0.95
    assert float(local_ssim(-bone, bone, mask, SPANS.ct)) < 0


def test_volumes_are_compared_slice_by_slice() -> None:
    a, b = random(1, 1, 3, 12, 12), random(1, 1, 3, 12, 12, seed=1)
    mask = torch.ones(1, 1, 3, 12, 12, dtype=torch.bool)
    slices = [local_ssim(a[:, :, z], b[:, :, z], mask[:, :, z], TWO) for z in range(3)]
    whole = local_ssim(a, b, mask, TWO)
    assert torch.allclose(whole, torch.stack(slices).mean(dim=0), atol=1e-6)


def test_a_negative_ssim_still_has_a_gradient() -> None:
    reference = 3 + random(1, 1, 16, 16)
    mask = torch.ones(1, 1, 16, 16)
    for kind in (lambda *x: local_ssim(*x, TWO), global_ssim):
        image = (6 - reference).clone().requires_grad_()
        found = kind(image, reference, mask)
        found.sum().backward()
        assert float(found.detach()) < 0
        assert image.grad is not None
        assert (image.grad != 0).all()


def test_the_target_takes_each_region_from_where_it_is_known(
    heads: dict[str, torch.Tensor],
) -> None:
    mri, ct, brain, bone = pieces(heads)
    found = composed("roi_composite", mri, ct, brain, bone)
    assert torch.equal(found[bone], ct[bone])
    assert torch.equal(found[brain], mri[brain])
    mean = (mri + ct) / 2
    assert torch.equal(found[~(brain | bone)], mean[~(brain | bone)])
    assert torch.equal(composed("average_legacy", mri, ct, brain, bone), mean)
    both = torch.ones_like(brain)
    assert torch.equal(composed("roi_composite", mri, ct, both, both), ct)


def test_weights_weigh_and_alpha_bar_silences_what_can_not_be_known() -> None:
    parts = {
        "diffusion": torch.tensor([1.0, 1.0]),
        "brain": torch.tensor([0.1, 0.1]),
        "bone": torch.tensor([0.2, 0.2]),
        "lesion": torch.tensor([0.3, 0.3]),
    }
    settings = LossSettings(alpha=1, beta=2, gamma=3, lambda_roi=0.5)
    alpha_bar = torch.tensor([1.0, 0.0])
    regions = 0.5 * (0.1 + 2 * 0.2 + 3 * 0.3)
    assert float(total(settings, parts, alpha_bar)) == pytest.approx(1 + regions / 2)
    plain = replace(settings, weighting="none_legacy")
    assert float(total(plain, parts, alpha_bar)) == pytest.approx(1 + regions)


def test_a_unit_without_lesion_asks_for_none() -> None:
    lesion = torch.zeros(2, 1, 8, 8)
    lesion[1, 0, 2:5, 2:5] = 1
    sure = torch.where(lesion > 0, 30.0, -30.0)
    assert torch.allclose(lesion_loss(sure, lesion), torch.zeros(2), atol=1e-4)
    assert (lesion_loss(-sure, lesion) > 5).all()


VARIANTS = [
    pytest.param({}, {}, id="default"),
    pytest.param({"mode": "regression"}, {}, id="regression"),
    pytest.param({"prediction": "x0", "bound": "dynamic"}, {}, id="x0-dynamic"),
    pytest.param(
        {"prediction": "eps_legacy", "bound": "hard_legacy"},
        {
            "ssim": "global_legacy",
            "target": "average_legacy",
            "weighting": "none_legacy",
        },
        id="before",
    ),
    pytest.param(
        {"prediction": "eps_legacy", "bound": "tanh"},
        {"weighting": "none_legacy"},
        id="soft-clamp",
    ),
]


@pytest.mark.parametrize(("diffusing", "weighing"), VARIANTS)
@pytest.mark.parametrize("conditioning", ["concat", "pooled_legacy"])
def test_every_weight_gets_a_gradient(
    diffusing: dict[str, Any], weighing: dict[str, Any], conditioning: Any
) -> None:
    diffusion = Diffusion(DiffusionSettings(**diffusing))
    torch.manual_seed(0)
    model = build(ModelSettings(conditioning=conditioning), conditions=2)
    found = batch(references(), diffusion)
    loss, parts = training_loss(
        model, diffusion, LossSettings(**weighing), SPANS, found
    )
    loss.backward()
    assert set(parts) == {"diffusion", "brain", "bone", "lesion", "zero_gradient"}
    for name, parameter in model.named_parameters():
        if name == "network.unet.first.weight" and diffusion.regression:
            continue  # Pooled, it sees nothing but the noisy image, and there is none.
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_a_volume_trains_too() -> None:
    diffusion = Diffusion(DiffusionSettings())
    torch.manual_seed(0)
    model = build(ModelSettings(dims=3), conditions=2)
    found = batch(references(2, side=16, depth=4), diffusion)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss, _ = training_loss(model, diffusion, LossSettings(), SPANS, found)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_the_full_network_trains_on_a_patch() -> None:
    """MONAI starts with zeros at the end of each block: gradients need three steps."""
    diffusion = Diffusion(DiffusionSettings())
    torch.manual_seed(0)
    model = build(ModelSettings(size="full", dims=3), conditions=2)
    found = batch(references(1, side=16, depth=5), diffusion)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):
        loss, _ = training_loss(model, diffusion, LossSettings(), SPANS, found)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("diffusing", "weighing"), VARIANTS)
def test_mixed_precision_gives_nearly_the_same_loss(
    diffusing: dict[str, Any], weighing: dict[str, Any]
) -> None:
    diffusion = Diffusion(DiffusionSettings(**diffusing))
    torch.manual_seed(0)
    model = build(ModelSettings(), conditions=2)
    found = batch(references(), diffusion)
    settings = LossSettings(**weighing)
    plain, _ = training_loss(model, diffusion, settings, SPANS, found)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = training_loss(model, diffusion, settings, SPANS, found)
        fused = fuse(model, diffusion, found["condition"], list("abcdef"))
    assert mixed.dtype == fused.dtype == torch.float32
    assert float(mixed.detach()) == pytest.approx(float(plain.detach()), rel=0.05)
    mixed.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("high", [0.0, -1.0, float("nan"), float("inf")])
def test_a_reference_that_does_not_vary_is_refused(high: float) -> None:
    with pytest.raises(SettingsError, match="leaves a constant"):
        Span(low=0.0, high=high)
