"""Latents of promoted IMC models: the same for any panel, stamped, resumable."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.families.imc.bundles import Promoted, demo, promoted

from normgate.deploy import DeploySettings
from normgate.deploy.acquisitions import deploy_acquisitions, prepare_acquisitions
from normgate.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.deploy.acquisitions import AcquisitionReport


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    folder = tmp_path_factory.mktemp("imc")
    return promoted(demo(folder / "demo", permute=True), folder)


def deployed(model: Promoted, csv: Path, out: Path) -> AcquisitionReport:
    ready, rows = prepare_acquisitions([model], csv, "cpu")
    return deploy_acquisitions(ready, rows, DeploySettings(data=csv, out=out))


def latents(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "imc" / "latents.csv")


def test_a_panel_in_another_order_gives_the_same_output(
    model: Promoted, tmp_path: Path
) -> None:
    for name, permute in (("one", True), ("two", False)):
        report = deployed(
            model, demo(tmp_path / name, permute=permute), tmp_path / f"{name}-out"
        )
        assert (report.encoded, report.quarantined) == (24, 0)
    one, two = latents(tmp_path / "one-out"), latents(tmp_path / "two-out")
    pd.testing.assert_frame_equal(
        one.drop(columns="input_digest"), two.drop(columns="input_digest")
    )
    images = []
    for name in ("one-out", "two-out"):
        path = tmp_path / name / "imc" / "slide-01-0001" / "reconstruction.h5"
        with h5py.File(path) as file:
            images.append(file["reconstruction"][()])
            assert next(iter(file["reconstruction"].attrs["channels"])) == "E0001"
    assert np.array_equal(*images)


def test_rows_are_stamped_and_a_rerun_encodes_nothing_again(
    model: Promoted, tmp_path: Path
) -> None:
    csv, out = demo(tmp_path / "demo", permute=True), tmp_path / "out"
    deployed(model, csv, out)
    first = (out / "imc" / "latents.csv").read_bytes()
    found = latents(out)
    assert set(found["manifest_digest"]) == {model.manifest_digest}
    assert len(found) == 24
    assert [name for name in found if name.startswith("z0")] == [
        f"z{number:04d}" for number in range(10)
    ]
    (out / "imc" / "slide-01-0002" / "acquisition.json").unlink()
    again = deployed(model, csv, out)
    assert (again.resumed, again.encoded) == (23, 1)
    assert "23 were finished before" in again.sentence()
    assert (out / "imc" / "latents.csv").read_bytes() == first


def test_a_corrupt_slide_is_quarantined_and_the_others_are_encoded(
    model: Promoted, tmp_path: Path
) -> None:
    csv, out = demo(tmp_path / "demo", permute=True), tmp_path / "out"
    (tmp_path / "demo" / "slide-03.h5").write_bytes(b"no HDF5")
    ready, rows = prepare_acquisitions([model], csv, "cpu")
    settings = DeploySettings(data=csv, out=out, failed_share=0.5)
    report = deploy_acquisitions(ready, rows, settings)
    assert (report.encoded, report.quarantined) == (20, 4)
    bad = pd.read_csv(out / "quarantine.csv")
    assert bad["acquisition"].str.startswith("slide-03").all()
    assert len(latents(out)) == 20


def test_a_bundle_whose_weights_were_exchanged_is_refused(
    model: Promoted, tmp_path: Path
) -> None:
    copy = tmp_path / "imc"
    shutil.copytree(model.bundle, copy)
    one, two = copy / "members" / "00.safetensors", copy / "members" / "01.safetensors"
    one.write_bytes(two.read_bytes())
    altered = Promoted(
        name="imc", version="3", bundle=copy, manifest_digest=model.manifest_digest
    )
    csv = demo(tmp_path / "demo", permute=True)
    with pytest.raises(BundleError, match=r"00\.safetensors"):
        prepare_acquisitions([altered], csv, "cpu")
