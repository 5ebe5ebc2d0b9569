"""IMC recipes: names of markers, what each recipe states, and the shipped contracts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.contract import imc, read_contract, read_spec
from normgate.contract.spec import NAME
from normgate.contract.steps import StandardizeSample
from normgate.errors import SpecError
from normgate.transform.apply import Normalizer

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        pytest.param("CD3", "CD3", id="plain"),
        pytest.param("Cytokeratin 5", "Cytokeratin_5", id="space"),
        pytest.param("139La_CD3", "139La_CD3", id="metal-and-target"),
        pytest.param("CD45RO/RA", "CD45RO_RA", id="slash"),
        pytest.param("HLA-DR (L243)", "HLA-DR_L243", id="brackets"),
        pytest.param("\N{GREEK SMALL LETTER ALPHA}-SMA", "alpha-SMA", id="greek"),
        pytest.param("Fri\N{LATIN SMALL LETTER E WITH ACUTE}", "Frie", id="accent"),
    ],
)
def test_a_marker_has_one_name_in_a_spec(marker: str, name: str) -> None:
    assert imc.channel_name(marker) == name


@given(st.text(min_size=1, max_size=40))
def test_a_name_is_valid_and_its_own_name_or_is_refused(marker: str) -> None:
    try:
        name = imc.channel_name(marker)
    except SpecError:
        return
    assert NAME.fullmatch(name)
    assert imc.channel_name(name) == name


def test_two_markers_of_one_name_are_refused() -> None:
    with pytest.raises(SpecError, match="'CD3 a' and 'CD3/a' are both called CD3_a"):
        imc.distinct_names(["CD3 a", "CD3/a"])


def test_the_data_sets_recipe_is_clip_arcsinh_and_z() -> None:
    channel = imc.dataset_z(name="CD3", low=0, high=50, mean=1.25, std=0.5)
    x = np.array([[0, 1, 50, 80]], dtype=np.float32)
    spec = imc.Spec(channels=(channel,))
    expected = (np.arcsinh(np.minimum(x.astype(np.float64), 50)) - 1.25) / 0.5
    assert np.allclose(Normalizer(spec)([x])[0], expected, atol=1e-6)


def test_an_images_z_score_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(3, 2, size=(2, 6, 6)).astype(np.float32)
    spec = imc.imc_spec(["A", "B"], imc.legacy_image_z)
    own = torch.from_numpy(x)
    expected = (own - own.mean(dim=(1, 2), keepdim=True)) / own.std(
        dim=(1, 2), keepdim=True
    )
    assert np.allclose(Normalizer(spec)(list(x)), expected.numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("recipe", "ddof", "eps", "degenerate"),
    [
        pytest.param(imc.legacy_image_z, 1, "0", "raise", id="incident"),
        pytest.param(imc.image_z, 1, "0", "zeros", id="image"),
        pytest.param(imc.revin, 0, "0.00001", "zeros", id="revin"),
    ],
)
def test_a_recipe_by_image_states_ddof_eps_and_constant_channels(
    recipe: object, ddof: int, eps: str, degenerate: str
) -> None:
    channel = recipe(name="A")  # type: ignore[operator]
    (step,) = channel.steps
    assert isinstance(step, StandardizeSample)
    found = (step.ddof, format(step.eps, "f"), step.degenerate)
    assert found == (ddof, eps, degenerate)
    assert imc.abundance_lost(channel)


def test_the_shipped_contract_is_that_of_its_spec() -> None:
    for name in ("imc", "imc_counts"):
        spec = read_spec(CONTRACTS / "specs" / f"{name}.json")
        contract = read_contract(CONTRACTS / f"{name}.json")
        assert [one.channel for one in contract.channels] == list(spec.channels)
        assert not any(map(imc.abundance_lost, spec.channels))


def test_the_legacy_specs_are_the_recipes_of_the_incident() -> None:
    names = read_spec(CONTRACTS / "specs" / "imc.json").names
    for name, recipe in (
        ("imc_legacy_image_z", imc.legacy_image_z),
        ("imc_legacy_none", imc.legacy_none),
    ):
        spec = read_spec(CONTRACTS / "specs" / f"{name}.json")
        assert spec == imc.imc_spec(names, recipe)
