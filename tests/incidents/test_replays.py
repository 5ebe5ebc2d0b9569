"""The incidents at reduced size: what must reproduce, with seed 0 of every arm.

Bounds lie three standard deviations between seeds or more from the means that were
measured at demo size; docs/LOG.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from normgate.incidents import open_incident
from normgate.incidents.port import Place
from normgate.incidents.table import Table
from normgate.tracker import NullTracker

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def replayed(
    name: str, arms: tuple[str, ...], factory: pytest.TempPathFactory
) -> Callable[[str, str], float]:
    """Arm and metric to the figure of seed 0."""
    out = factory.mktemp(name)
    specs = ROOT / "contracts" / "specs"
    incident = open_incident(name, Place(out=out, specs=specs, size="reduced"))
    table = Table(
        tuple(incident.run(arm, 0, NullTracker(), out / "arms" / arm) for arm in arms)
    )
    return lambda arm, metric: table.value(arm, metric, 0)


@pytest.fixture(scope="module")
def rescue(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], float]:
    arms = ("best", "fluorescence", "after", "label_is_plate")
    return replayed("rescue", arms, tmp_path_factory)


def test_rescue_learns_alike_under_either_recipe(
    rescue: Callable[[str, str], float],
) -> None:
    assert rescue("best", "auroc") > 0.7
    assert abs(rescue("best", "auroc") - rescue("fluorescence", "auroc")) < 0.06


def test_rescue_fails_where_the_other_recipe_is_deployed(
    rescue: Callable[[str, str], float],
) -> None:
    assert rescue("best", "on.fluorescence.accuracy") < 0.62
    assert (
        abs(
            rescue("best", "on.fluorescence.p_APP")
            - rescue("best", "on.fluorescence.p_WT")
        )
        < 0.12
    )


def test_rescue_kills_an_8_bit_channel_by_halos_percentiles_and_no_score_tells(
    rescue: Callable[[str, str], float],
) -> None:
    assert rescue("after", "least_channel_std") == 0
    assert rescue("after", "auroc") > rescue("best", "auroc") - 0.06


def test_rescue_reads_plates_without_any_biology(
    rescue: Callable[[str, str], float],
) -> None:
    assert rescue("label_is_plate", "auroc") > 0.65


@pytest.fixture(scope="module")
def fusion(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], float]:
    arms = ("before", "after", "best", "best_legacy_sampler")
    return replayed("fusion", arms, tmp_path_factory)


def test_fusion_before_ignores_ct_and_lies_at_its_clamp(
    fusion: Callable[[str, str], float],
) -> None:
    assert fusion("before", "bone_ncc") < 0.4
    assert fusion("before", "legacy_bone_psnr") < 0
    assert fusion("before", "bone_ncc_drop") < 0.2
    assert fusion("before", "fused_low") == pytest.approx(-3, abs=1e-3)


def test_fusion_after_shows_bone_and_good_practice_shows_it_in_hu(
    fusion: Callable[[str, str], float],
) -> None:
    assert fusion("after", "legacy_bone_ssim") > 0.3
    assert fusion("after", "legacy_bone_psnr") > 5
    assert fusion("best", "bone_psnr_hu") > 24
    assert fusion("best", "bone_ncc") > 0.9


def test_fusion_by_the_incidents_sampler_has_no_structure_whatever_was_learned(
    fusion: Callable[[str, str], float],
) -> None:
    assert fusion("best_legacy_sampler", "legacy_brain_ssim") < 0.05


@pytest.fixture(scope="module")
def imc(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], float]:
    return replayed("imc", ("before", "after", "dataset_z"), tmp_path_factory)


def test_imc_is_sharpened_by_normalization(imc: Callable[[str, str], float]) -> None:
    assert imc("before", "spatial_r2") < 0.25
    assert imc("before", "r2_low_scale") < 0
    assert imc("after", "spatial_r2") > 0.45


def test_imc_loses_abundance_by_image_and_keeps_it_by_data_set(
    imc: Callable[[str, str], float],
) -> None:
    assert imc("after", "density_probe") < 0.2
    assert imc("dataset_z", "density_probe") > 0.6
