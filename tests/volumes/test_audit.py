"""The audit tells what a normalization loses, before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.volumes.heads import template_case

from normgate.contract import Spec
from normgate.contract import ct as recipes
from normgate.errors import DataError, SpecError
from normgate.transform.apply import Normalizer
from normgate.volumes.audit import Audit, audit, psnr_hu
from normgate.volumes.cases import cases, read_case_csv
from normgate.volumes.demo import DemoSettings, write_demo
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader
from normgate.volumes.phantom import PhantomSettings, phantom
from normgate.volumes.statistics import measure

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.contract import Channel
    from normgate.volumes.cases import Case

SLICES = VolumeGeometry(dims=2, patch=(32, 32))


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    table = write_demo(tmp_path_factory.mktemp("heads"), DemoSettings(cases=40))
    return list(cases(read_case_csv(table), table))


def audited(heads: list[Case], *ct: Channel) -> Audit:
    """Constants of the first 30 cases, audited on the last 10."""
    loader = Loader(recipes.fusion_spec(recipes.mri_case_z(), *ct), SLICES)
    return audit(loader, loader.each(heads[30:], []))


def values(found: Audit) -> dict[str, float]:
    return {vital.name: vital.value for vital in found.vitals}


def test_nnunets_normalization_passes_in_every_respect(heads: list[Case]) -> None:
    found = audited(heads, measure(heads[:30]).ct_channel())
    assert found.refusals == found.warnings == ()
    assert values(found)["norm.CT.roundtrip_db"] > 50
    assert found.power_share["CT"] == pytest.approx(0.5, abs=0.05)
    assert values(found)["norm.CT.std"] == pytest.approx(1, abs=0.1)
    found.refuse()


def test_the_range_from_0_to_1_is_exact_and_refused_for_its_power(
    heads: list[Case],
) -> None:
    found = audited(heads, recipes.legacy_minmax_ct())
    assert values(found)["norm.CT.roundtrip_db"] == pytest.approx(96.0, abs=0.1)
    assert found.power_share["CT"] == pytest.approx(0.011, abs=0.003)
    with pytest.raises(SpecError, match=r"CT has 0\.01\d of the power of MRI and CT"):
        found.refuse()


def test_the_masked_z_score_saturates_bone_and_moves_from_case_to_case(
    heads: list[Case],
) -> None:
    found = audited(heads, recipes.legacy_masked_z_ct())
    assert 22 < values(found)["norm.CT.roundtrip_db"] < 31
    assert found.power_share["CT"] == pytest.approx(0.5, abs=0.05)
    warned = " ".join(found.warnings)
    assert "beyond the high clip bound" in warned
    assert "In channel CT 0 stands for" in warned


def test_the_narrow_window_loses_all_bone(heads: list[Case]) -> None:
    found = audited(heads, recipes.legacy_window_ct())
    assert values(found)["norm.CT.roundtrip_db"] == pytest.approx(9.2, abs=0.5)
    with pytest.raises(SpecError, match="widen the clip, or add a channel that shows"):
        found.refuse()


def test_several_windows_keep_bone_in_the_one_that_shows_it(heads: list[Case]) -> None:
    found = audited(heads, *recipes.windows())
    assert found.refusals == ()
    assert values(found)["norm.CT.roundtrip_db"] == pytest.approx(96.0, abs=0.1)
    assert set(found.power_share) == {"MRI", "CT_brain", "CT_subdural", "CT_bone"}
    assert sum(found.power_share.values()) == pytest.approx(1)
    assert audited(heads, *recipes.windows(["brain"])).refusals


def test_a_ct_in_thousands_is_dead(heads: list[Case]) -> None:
    found = audited(heads, recipes.hu_fixed(10_000_000))
    levels = {vital.name: vital.level for vital in found.vitals}
    assert levels["norm.CT.dead"] == "red"
    assert levels["norm.power_ratio"] == "red"


def test_psnr_is_over_a_fixed_range_whatever_the_scale() -> None:
    true = np.array([0.0, 1000.0])
    assert psnr_hu(true, true) == pytest.approx(96.02, abs=0.01)
    assert psnr_hu(true + 20, true) == pytest.approx(40.0)
    assert psnr_hu(true + 20, true, range_hu=4000) == pytest.approx(46.02, abs=0.01)


def test_without_bone_or_cases_there_is_nothing_to_audit(heads: list[Case]) -> None:
    loader = Loader(
        recipes.fusion_spec(recipes.mri_case_z(), recipes.hu_fixed()), SLICES
    )
    with pytest.raises(DataError, match="no case shows bone"):
        audit(loader, ())


def test_the_real_template_is_audited(real_data: Path) -> None:
    case = template_case(real_data, ct_rescale=(0.4021, -1000.0))
    fitted = measure([case], input_type="float32")
    loader = Loader(
        recipes.fusion_spec(recipes.mri_case_z(), fitted.ct_channel()), SLICES
    )
    found = audit(loader, loader.each([case], []))
    assert found.refusals == ()
    narrow = recipes.legacy_minmax_ct(input_type="float32")
    loader = Loader(recipes.fusion_spec(recipes.mri_case_z(), narrow), SLICES)
    assert (
        "of the power of MRI and CT"
        in audit(loader, loader.each([case], [])).refusals[0]
    )


def test_what_the_incident_saw_of_its_remedy_is_seen_here() -> None:
    """A whole head, one in a headrest, and one whose skull was set to 0."""
    spec = Spec(channels=(recipes.legacy_masked_z_ct(),))
    seen = {}
    for fault in ("", "headrest", "skullstrip_zero_fill"):
        changes = {fault: True} if fault else {}
        head = phantom(0, PhantomSettings(seed=0, **changes))
        image = Normalizer(spec)([head.ct_zyx])[0]
        brain, bone = (image[m].mean() for m in (head.brain_zyx, head.bone_zyx))
        seen[fault] = (image.min(), image.max(), brain, bone)
    assert seen[""][:2] == pytest.approx((-3.3, 1.9), abs=0.3)
    assert seen["skullstrip_zero_fill"][:2] == pytest.approx((-22, 21.6), abs=0.5)
    assert seen["headrest"][2] > seen[""][2] + 0.05
    assert seen["headrest"][3] > seen[""][3] + 0.05
