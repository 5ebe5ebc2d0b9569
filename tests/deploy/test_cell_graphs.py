"""Latents of promoted models of cell graphs: a row for each graph, by its cells."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.families.imc.bundles import Promoted, bundled, untrained
from tests.families.imc.graphs import DEMO, study

from normgate.acquisitions.demo import write_demo
from normgate.acquisitions.tiff import read_mask
from normgate.acquisitions.write import write_mask
from normgate.deploy import DeploySettings
from normgate.deploy.acquisitions import deploy_acquisitions, prepare_acquisitions
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.deploy.acquisitions import AcquisitionReport


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    folder = tmp_path_factory.mktemp("cells")
    own = study(folder).plan()
    return bundled(own, untrained(own), folder)


def deployed(model: Promoted, csv: Path, out: Path, share: float) -> AcquisitionReport:
    ready, rows = prepare_acquisitions([model], csv, "cpu")
    settings = DeploySettings(data=csv, out=out, failed_share=share)
    return deploy_acquisitions(ready, rows, settings)


def latents(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "imc" / "latents.csv")


def test_a_panel_in_another_order_gives_equal_latents(
    model: Promoted, tmp_path: Path
) -> None:
    for name, permute in (("one", True), ("two", False)):
        csv = write_demo(tmp_path / name, replace(DEMO, permute=permute))
        report = deployed(model, csv, tmp_path / f"{name}-out", 0.0)
        assert (report.encoded, report.quarantined) == (36, 0)
    one, two = latents(tmp_path / "one-out"), latents(tmp_path / "two-out")
    pd.testing.assert_frame_equal(
        one.drop(columns="input_digest"), two.drop(columns="input_digest")
    )
    assert set(one["manifest_digest"]) == {model.manifest_digest}
    assert one["cells"].between(1, 10).all()
    assert [name for name in one if name.startswith("z0")] == [
        f"z{number:04d}" for number in range(12)
    ]


def test_every_cell_of_the_mask_is_in_one_unit_whatever_its_label(
    model: Promoted, tmp_path: Path
) -> None:
    csv = write_demo(tmp_path / "demo", DEMO)
    _, rows = prepare_acquisitions([model], csv, "cpu")
    first = rows[0]
    assert first.mask is not None
    plain = deployed(model, csv, tmp_path / "plain", 0.0)
    labels_yx = read_mask(first.mask)
    # Labels that differ in what float32 has no room for.
    large_yx = np.where(labels_yx > 0, labels_yx + (1 << 30), 0).astype(np.uint32)
    write_mask(first.mask, large_yx)
    deployed(model, csv, tmp_path / "large", 0.0)
    assert plain.encoded == len(rows)
    one, two = latents(tmp_path / "plain"), latents(tmp_path / "large")
    pd.testing.assert_frame_equal(
        one.drop(columns="input_digest"), two.drop(columns="input_digest")
    )
    path = tmp_path / "large" / "imc" / first.acquisition / "reconstruction.h5"
    with h5py.File(path) as file:
        labels_uk = file["labels"][()]
        assert file["reconstruction"].shape == (*labels_uk.shape, 6)
    own = one[one["acquisition"] == first.acquisition]
    assert own["cells"].tolist() == (labels_uk > 0).sum(axis=1).tolist()
    assert sorted(labels_uk[labels_uk > 0]) == np.unique(large_yx)[1:].tolist()
    at = [np.isin(large_yx, cells[cells > 0]) for cells in labels_uk]
    for (y, x), mine in zip(own[["y", "x"]].to_numpy(), at, strict=True):
        rows_of, columns_of = np.nonzero(mine)
        assert rows_of.min() <= y <= rows_of.max()
        assert columns_of.min() <= x <= columns_of.max()


def test_a_rerun_encodes_what_is_left_and_a_mended_mask_again(
    model: Promoted, tmp_path: Path
) -> None:
    csv, out = write_demo(tmp_path / "demo", DEMO), tmp_path / "out"
    _, rows = prepare_acquisitions([model], csv, "cpu")
    broken, empty = rows[1].mask, rows[2].mask
    assert broken is not None
    assert empty is not None
    whole = broken.read_bytes()
    broken.write_bytes(whole[:40])
    write_mask(empty, np.zeros((24, 24), dtype=np.uint16))
    report = deployed(model, csv, out, 0.5)
    assert (report.encoded, report.quarantined) == (34, 2)
    bad = pd.read_csv(out / "quarantine.csv")
    assert bad["acquisition"].tolist() == [row.acquisition for row in rows[1:3]]
    assert "holds 0 cells" in bad["reason"][1]
    assert len(set(latents(out)["acquisition"])) == 34
    broken.write_bytes(whole)
    os.utime(broken)
    again = deployed(model, csv, out, 0.5)
    assert (again.resumed, again.encoded, again.quarantined) == (34, 1, 1)
    with pytest.raises(DataError, match="1 of 36 acquisitions can't be used"):
        deployed(model, csv, tmp_path / "strict", 0.0)
