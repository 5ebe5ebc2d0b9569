"""Real volumes through training, bundle and deployment: that it works, nothing more.

There is one pair of CT and MRI that lies on one grid, a template; some of its slices
stand for several patients, too few for any figure to mean something.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pandas as pd
import pytest
from tests.families.fusion.bundles import Promoted
from tests.families.fusion.simulated import QUICK, plan, rows
from tests.volumes.heads import template_case

from normgate.contract import ct as recipes
from normgate.deploy import DeploySettings
from normgate.deploy.volumes import deploy_cases, prepare_cases
from normgate.engine import manifest
from normgate.engine.assemble import assemble
from normgate.engine.member import train_member
from normgate.engine.settings import FitSettings
from normgate.errors import DataError
from normgate.families.fusion.assemble import golden_volumes, origin_of
from normgate.families.fusion.bundled import FusionBundles
from normgate.families.fusion.data import prepare
from normgate.families.fusion.settings import PRESETS
from normgate.tracker import NullTracker
from normgate.volumes.applied import like_of, verify
from normgate.volumes.cases import write_case_csv
from normgate.volumes.geometry import VolumeGeometry
from normgate.volumes.load import Loader

if TYPE_CHECKING:
    from pathlib import Path

RESCALE = (0.4021, -1000.0)
FIT = FitSettings(epochs=1, seed=0, device="cpu", batch_size=3)


def slices(real_data: Path, folder: Path) -> Path:
    """A case CSV of three times three slices of the templates, cut out unchanged."""
    case = template_case(real_data)
    records = []
    for number in range(3):
        name = f"case-{number}"
        for kind in ("mri", "ct"):
            image = nibabel.load(getattr(case, kind))
            part = image.slicer[:, :, 40 + 3 * number : 43 + 3 * number]
            (folder / name).mkdir(exist_ok=True)
            nibabel.save(part, folder / name / f"{kind}.nii.gz")
        row = {"patient": name, "case": name, "split_group": name}
        row |= {kind: f"{name}/{kind}.nii.gz" for kind in ("mri", "ct")}
        row |= dict.fromkeys(("brain", "bone", "lesion"), "")
        row |= {"ct_slope": str(RESCALE[0]), "ct_intercept": str(RESCALE[1])}
        records.append(row)
    write_case_csv(pd.DataFrame(records), folder / "cases.csv")
    return folder / "cases.csv"


def test_real_volumes_go_through_training_bundle_and_deployment(
    real_data: Path, tmp_path: Path
) -> None:
    table = slices(real_data, tmp_path)
    wide = recipes.nnunet_ct(low=-50, high=500, mean=80, std=130, input_type="float32")
    spec = recipes.fusion_spec(recipes.mri_case_z(), wide)
    geometry = VolumeGeometry(dims=2, patch=(96, 96))
    loader = Loader(spec, geometry)
    units = prepare(loader, rows(table), tmp_path / "cache")
    assert not units.quarantined
    assert not units.lesion_known.any()
    assert any("bone derived from the CT" in note for note in units.notes)
    whole = plan(units, spec=spec, fold=np.unique(units.cases, return_inverse=True)[1])
    member = train_member(whole.task(0, FIT), 0, FIT, NullTracker(), tmp_path / "m")
    assert np.isfinite(member.card.metrics["test_bone_psnr_hu"])
    assert np.isnan(member.card.metrics["test_lesion_dice"])
    origin = origin_of(
        whole,
        preset=PRESETS["stroke"],
        geometry=geometry,
        applied_fingerprint=verify(loader, like_of(rows(table)[0])),
        provenance=None,
        data_digest="0" * 64,
    )
    assert origin.settings["diffusion"] == asdict(QUICK)
    golden = golden_volumes(spec, geometry)
    bundle = tmp_path / "bundle"
    assemble(bundle, FusionBundles(), origin, [member], FIT, {}, golden)
    digest = manifest.verify(bundle)
    one = Promoted(name="real", version="1", bundle=bundle, manifest_digest=digest)
    models, cases = prepare_cases([one], table, "cpu")
    settings = DeploySettings(data=table, out=tmp_path / "out")
    assert deploy_cases(models, cases, settings).fused == 3
    for case in cases:
        fused = nibabel.load(tmp_path / "out" / "real" / case.case / "fused.nii.gz")
        assert np.array_equal(fused.affine, nibabel.load(case.mri).affine)
        assert np.isfinite(fused.get_fdata()).all()


def test_a_real_ct_that_is_not_in_hu_ends_a_training_with_its_remedy(
    real_data: Path, tmp_path: Path
) -> None:
    table = slices(real_data, tmp_path)
    text = table.read_text().replace("0.4021", "").replace("-1000.0", "")
    table.write_text(text)
    spec = recipes.fusion_spec(recipes.mri_case_z(), recipes.hu_fixed())
    loader = Loader(spec, VolumeGeometry(dims=2, patch=(96, 96)))
    with pytest.raises(DataError, match="declare ct_slope and ct_intercept"):
        prepare(loader, rows(table), tmp_path / "cache")
