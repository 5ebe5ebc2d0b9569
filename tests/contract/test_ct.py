"""Recipes for CT and MRI compute what their names say, and keep the laws of digests."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normgate.contract import (
    Channel,
    ClampAffine,
    Clip,
    Scale,
    Spec,
    Standardize,
    channel_digest,
    normal_form,
    read_contract,
    read_spec,
)
from normgate.contract import ct as recipes
from normgate.errors import SpecError
from normgate.transform.apply import Normalizer

HU = np.arange(-1024, 3072, dtype=np.int16)
RNG = np.random.default_rng(5)
NNUNET = recipes.nnunet_ct(low=-4.5, high=1257, mean=301.25, std=412.5)


def normalized(channel: Channel, x: np.ndarray) -> np.ndarray:
    return Normalizer(Spec(channels=(channel,)))([x])[0]


def test_nnunet_ct_clips_subtracts_and_divides_by_constants() -> None:
    expected = (np.clip(HU.astype(np.float64), -4.5, 1257) - 301.25) / 412.5
    np.testing.assert_allclose(normalized(NNUNET, HU), expected, rtol=1e-6, atol=1e-7)


def test_hu_fixed_divides_by_its_scale() -> None:
    found = normalized(recipes.hu_fixed(500), HU)
    np.testing.assert_allclose(found, HU / 500, rtol=1e-6)
    (clipped,) = normalized(recipes.hu_fixed(500), np.array([-3024], np.int16))
    assert clipped == np.float32(-2.048)


@pytest.mark.parametrize(("name", "window"), recipes.WINDOWS.items())
def test_a_window_maps_its_ends_and_saturates(
    name: str, window: tuple[int, int]
) -> None:
    center, width = window
    (channel,) = recipes.windows([name])
    assert channel.name == f"CT_{name}"
    at = [center - width // 2, center, center + width // 2, 3071, -1024]
    found = normalized(channel, np.array(at, dtype=np.int16))
    np.testing.assert_allclose(found, [-1, 0, 1, 1, -1], atol=1e-6)


def test_all_windows_are_channels_of_one_spec() -> None:
    spec = recipes.fusion_spec(recipes.mri_case_z(), *recipes.windows())
    assert spec.names == ("MRI", "CT_brain", "CT_subdural", "CT_bone")
    assert len({channel_digest(channel) for channel in spec.channels}) == 4


def incident_minmax(ct_volume: np.ndarray) -> np.ndarray:
    """As the incident's code had it."""
    ct_volume = np.clip(ct_volume, -1000, 3000)
    return (ct_volume + 1000) / 4000.0


def incident_masked_z(ct_volume: np.ndarray) -> np.ndarray:
    """As the incident's remedy had it."""
    ct_volume = np.clip(ct_volume, -1000, 1000)
    mask = ct_volume > -900
    if mask.sum() > 0:
        mean = ct_volume[mask].mean()
        std = ct_volume[mask].std()
        ct_volume = (ct_volume - mean) / std if std > 0 else ct_volume - mean
    return ct_volume


CASES = {
    "head": RNG.choice([-1000, 8, 30, 38, 650, 1150], 4000) + RNG.normal(0, 4, 4000),
    "only-air": np.full(50, -1000.0),
    "no-spread": np.where(np.arange(50) < 9, -1000.0, 40.0),
    "edge-of-the-mask": np.array([-901.0, -900, -899, 2000, -3000]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("input_type", ["int16", "float32"])
def test_the_incidents_normalizers_are_repeated_exactly(
    name: str, input_type: str
) -> None:
    x = np.rint(CASES[name]).astype(input_type)
    double = x.astype(np.float64)
    minmax = recipes.legacy_minmax_ct(input_type=input_type)  # type: ignore[arg-type]
    masked = recipes.legacy_masked_z_ct(input_type=input_type)  # type: ignore[arg-type]
    for channel, expected in (
        (minmax, incident_minmax(double)),
        (masked, incident_masked_z(double)),
    ):
        found = normalized(channel, x)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_third_remedy_makes_all_bone_one_constant() -> None:
    found = normalized(recipes.legacy_window_ct(), HU)
    assert set(found[HU >= 240]) == {2.0}
    assert found[HU == -160] == -2.0


def test_case_z_measures_foreground_and_moves_the_background_along() -> None:
    x = np.array([0, 0, 0, 10, 20, 30], dtype=np.float32)
    mean, std = 20, np.std([10, 20, 30])
    same = normalized(recipes.mri_case_z(), x)
    np.testing.assert_allclose(same, (x - mean) / std, rtol=1e-6)
    zero = normalized(recipes.mri_case_z(background="zero"), x)
    np.testing.assert_allclose(zero, np.where(x > 0, (x - mean) / std, 0), rtol=1e-6)
    above = normalized(recipes.mri_case_z(above=15), x)
    np.testing.assert_allclose(above, (x - 25) / 5, rtol=1e-6)


def test_case_z_does_not_see_a_scanners_gain() -> None:
    x = RNG.uniform(0, 500, 300).astype(np.float32)
    found = normalized(recipes.mri_case_z(), (x * 4).astype(np.float32))
    np.testing.assert_allclose(normalized(recipes.mri_case_z(), x), found, rtol=1e-6)


constants = st.decimals(-900, 900, places=2, allow_nan=False, allow_infinity=False)
spreads = st.decimals(1, 900, places=2, allow_nan=False, allow_infinity=False)


@given(low=constants, width=spreads, mean=constants, std=spreads)
def test_nnunet_ct_is_one_clamp_affine_whoever_spells_it(
    low: Decimal, width: Decimal, mean: Decimal, std: Decimal
) -> None:
    own = recipes.nnunet_ct(low=low, high=low + width, mean=mean, std=std)
    (operation,) = normal_form(own).operations
    assert operation == ClampAffine(
        low=Fraction(low),
        high=Fraction(low + width),
        gain=1 / Fraction(std),
        offset=-Fraction(mean) / Fraction(std),
    )
    shifted = Channel(
        name="other",
        input="int16",
        steps=(
            Clip(low=low, high=low + width),
            Scale(gain=1, offset=-mean),
            Standardize(mean=0, std=std),
        ),
    )
    assert channel_digest(own) == channel_digest(shifted)


@given(center=st.integers(-200, 800), width=st.integers(1, 3000))
def test_a_window_is_a_clip_and_a_standardization(center: int, width: int) -> None:
    spelled = Channel(
        name="CT",
        input="int16",
        steps=(
            Clip(low=Decimal(center) - Decimal(width) / 2, high=center + width / 2),
            Standardize(mean=center, std=Decimal(width) / 2),
        ),
    )
    assert channel_digest(recipes.window(center, width)) == channel_digest(spelled)


def test_every_recipe_has_a_digest_of_its_own() -> None:
    channels = [
        NNUNET,
        recipes.nnunet_ct(low=-4.5, high=1257, mean=301.25, std=412.25),
        recipes.nnunet_ct(low=-4, high=1257, mean=301.25, std=412.5),
        recipes.hu_fixed(),
        recipes.legacy_minmax_ct(),
        recipes.legacy_masked_z_ct(),
        recipes.legacy_window_ct(),
        recipes.window(40, 400),
        *recipes.windows(),
        recipes.mri_case_z(input_type="int16"),
        recipes.mri_case_z(input_type="int16", background="zero"),
        recipes.mri_case_z(input_type="int16", above=0),
        recipes.mri_dataset_z(mean=900, std=300, input_type="int16"),
    ]
    assert len({channel_digest(channel) for channel in channels}) == len(channels)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            lambda: recipes.windows(["lung"]),
            "no window 'lung'; there is brain",
            id="window",
        ),
        pytest.param(lambda: recipes.window(40, 0), "width above 0", id="width"),
        pytest.param(
            lambda: recipes.fusion_spec(NNUNET, recipes.mri_case_z()),
            "found channels CT, MRI",
            id="order",
        ),
        pytest.param(
            lambda: recipes.fusion_spec(recipes.mri_case_z()),
            "found channels MRI; expected",
            id="no-ct",
        ),
        pytest.param(lambda: recipes.modality("PET"), "'PET' is neither", id="name"),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        make()  # type: ignore[operator]


CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
SHIPPED = {
    "fusion_mri_ct": (recipes.nnunet_ct(low=1, high=1233, mean=309, std=434),),
    "fusion_hu_fixed": (recipes.hu_fixed(),),
    "fusion_windows": recipes.windows(),
    "fusion_legacy_minmax": (recipes.legacy_minmax_ct(),),
    "fusion_legacy_masked_z": (recipes.legacy_masked_z_ct(),),
    "fusion_legacy_window": (recipes.legacy_window_ct(),),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_specs_are_the_recipes(name: str) -> None:
    spec = recipes.fusion_spec(recipes.mri_case_z(), *SHIPPED[name])
    assert read_spec(CONTRACTS / "specs" / f"{name}.json") == spec


def test_the_shipped_contract_takes_its_spec_and_no_other() -> None:
    contract = read_contract(CONTRACTS / "fusion_mri_ct.json")
    demanded = {channel.name: channel.digest for channel in contract.channels}
    for name in SHIPPED:
        spec = read_spec(CONTRACTS / "specs" / f"{name}.json")
        found = {channel.name: channel_digest(channel) for channel in spec.channels}
        assert (found == demanded) == (name == "fusion_mri_ct")
        assert found["MRI"] == demanded["MRI"]
    assert contract.floors == ()
