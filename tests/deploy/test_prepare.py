"""Before the first row: every model is verified through the reader in use."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from tests.deploy.bundles import Promoted, promoted
from tests.deploy.fakes import plate_spec, write_plates

from normgate.deploy.pipeline import deploy
from normgate.deploy.prepare import prepare
from normgate.deploy.settings import DeploySettings
from normgate.errors import (
    BundleError,
    DataError,
    DigestMismatch,
    FingerprintMismatch,
)
from normgate.plates.load import Loader
from normgate.plates.predictions import read_meta
from normgate.plates.schema import read_plate_csv, write_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


TWO = ("RFP1", "HALO")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plates(tmp_path_factory.mktemp("plates"), wells=4)


@pytest.fixture
def one(tmp_path: Path) -> Promoted:
    return promoted(tmp_path, "rescue-0ms", plate_spec(TWO), 0)


def test_a_bundle_is_deployed_with_its_own_stamps(
    data: Path, one: Promoted, tmp_path: Path
) -> None:
    both = promoted(tmp_path, "binary", plate_spec(("HALO:0ms", "HALO:10000ms")), None)
    models, places = prepare([one, both], data, "cpu")
    out = tmp_path / "out"
    report = deploy(models, places, DeploySettings(data=data, out=out))
    told = [read_meta(path) for path in sorted(out.glob("*/part-00000.parquet"))]
    assert [meta.aggregation for meta in told] == ["median", "median"]
    assert report.rows == {"rescue-0ms": 32, "binary": 32}
    frame = pd.read_parquet(out / "rescue-0ms" / "part-00000.parquet")
    assert set(frame["manifest_digest"]) == {one.manifest_digest}
    assert set(frame["version"]) == {"3"}
    held = frame[frame["held_out"]].groupby("replicate")["well"].unique()
    assert {k: set(v) for k, v in held.items()} == {0: {"A04"}, 1: {"A03"}}


def test_an_altered_weights_file_is_refused(data: Path, one: Promoted) -> None:
    path = one.bundle / "members" / "00.safetensors"
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(altered)
    with pytest.raises(BundleError, match=r"members/00\.safetensors was altered"):
        prepare([one], data, "cpu")


def test_a_bundle_other_than_the_promoted_is_refused(data: Path, one: Promoted) -> None:
    with pytest.raises(DigestMismatch, match="was promoted as cccccccccccc"):
        prepare([replace(one, manifest_digest="c" * 64)], data, "cpu")


def test_a_loader_that_applies_something_else_stops_the_job(
    data: Path, one: Promoted, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Swapped(Loader):
        """Applies the channels' constants in the wrong order."""

        def normalized(self, windows_ncyx: NDArray[np.generic]) -> NDArray[np.float32]:
            return super().normalized(windows_ncyx[:, ::-1])[:, ::-1]

    module = importlib.import_module("normgate.deploy.prepare")
    monkeypatch.setattr(module, "Loader", Swapped)
    with pytest.raises(FingerprintMismatch, match=r"rescue-0ms: .*RFP1"):
        prepare([one], data, "cpu")


def test_models_that_disagree_on_a_shared_channel_are_refused(
    data: Path, one: Promoted, tmp_path: Path
) -> None:
    wrong = promoted(tmp_path, "wrong", plate_spec(TWO, HALO=(0, 238)), 10000)
    with pytest.raises(DigestMismatch, match=r"HALO of rescue-0ms .* HALO of wrong"):
        prepare([one, wrong], data, "cpu")


def test_a_picture_that_no_site_has_is_named(data: Path, tmp_path: Path) -> None:
    later = promoted(tmp_path, "later", plate_spec(TWO), 20000)
    with pytest.raises(DataError, match="later reads RFP1:20000ms, which no site"):
        prepare([later], data, "cpu")


def test_another_family_is_refused(data: Path, one: Promoted) -> None:
    path = one.bundle / "card.json"
    card = json.loads(path.read_bytes())
    path.write_text(json.dumps({**card, "family": "fusion"}))
    with pytest.raises(BundleError, match="family 'fusion'"):
        prepare([one], data, "cpu")


def test_plates_without_one_readable_file_are_left_to_quarantine(
    data: Path, one: Promoted, tmp_path: Path
) -> None:
    frame = read_plate_csv(data)
    frame["path_RFP1"] = frame["path_HALO"] = "absent.tif"
    write_plate_csv(frame, tmp_path / "plates.csv")
    models, places = prepare([one], tmp_path / "plates.csv", "cpu")
    settings = DeploySettings(data=tmp_path / "plates.csv", out=tmp_path / "out")
    with pytest.raises(DataError, match="4 of 4 sites can't be used by rescue-0ms"):
        deploy(models, places, settings)
