from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from tests.tracking.bundle_files import EXPERIMENT, RIGHT, database, trained_bundle

from mlflow_normgate import reserved
from mlflow_normgate.bundles import SCORING, log_bundle
from mlflow_normgate.modelfiles import directory_digest, model_files
from normgate.contract import spec_digest, to_json
from normgate.errors import BundleError, DataError, TrackingError
from normgate.families import open_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from mlflow_normgate.bundles import Registered

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    with database(tmp_path_factory.mktemp("bundles"), "sqlite") as found:
        yield found


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_bundle(tmp_path_factory.mktemp("trained") / "rescue-0ms")


@pytest.fixture(scope="module")
def run_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return str(client.create_run(experiment.experiment_id).info.run_id)


@pytest.fixture(scope="module")
def registered(client: MlflowClient, bundle: Path, run_id: str) -> Registered:
    return log_bundle(
        bundle, run_id=run_id, registered_name="rescue-0ms", tags={"preset": "rescue"}
    )


def test_a_bundle_becomes_a_version_with_evidence(
    client: MlflowClient, registered: Registered, run_id: str
) -> None:
    version = client.get_model_version("rescue-0ms", registered.version)
    assert version.run_id == run_id
    assert version.tags[reserved.EVIDENCE] == "complete"
    assert version.tags[reserved.SPEC_DIGEST] == spec_digest(RIGHT)
    assert version.tags["preset"] == "rescue"
    assert reserved.BUNDLE not in version.tags
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert [m.model_id for m in run.outputs.model_outputs] == [registered.model_id]


def test_a_logged_model_holds_no_pickle_and_says_what_it_takes(
    registered: Registered,
) -> None:
    uri = f"models:/{registered.model_id}"
    info = mlflow.models.get_model_info(uri)
    assert info.metadata["normgate.spec_digest"] == spec_digest(RIGHT)
    assert info.signature.inputs.inputs[0].type == np.dtype(np.uint16)
    assert info.signature.inputs.inputs[0].shape == (-1, 3, -1, -1)
    assert info.signature.outputs.input_names() == ["logits", "probabilities"]
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert (folder / "scoring.py").read_bytes() == SCORING.read_bytes()
    assert not list(folder.rglob("*.pkl"))
    wanted = (folder / "requirements.txt").read_text()
    assert "normgate[train]==" in wanted


def test_the_uv_project_of_the_working_folder_is_not_logged(
    bundle: Path, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("uv.lock", "pyproject.toml"):
        (tmp_path / name).write_text("version = 1\n")
    made = log_bundle(bundle, run_id=run_id, registered_name="beside-uv")
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{made.model_id}"))
    assert not {"uv.lock", "pyproject.toml"} & {path.name for path in folder.iterdir()}
    assert "MLFLOW_LOG_UV_FILES" not in os.environ


def test_what_is_loaded_predicts_from_raw_counts(
    registered: Registered, bundle: Path
) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{registered.model_id}")
    raw = np.random.default_rng(0).integers(900, 9000, (5, 3, 24, 24)).astype("uint16")
    found = model.predict(raw)
    for name, expected in open_bundle(bundle).predict(raw).items():
        assert np.array_equal(found[name], expected)
    assert found["probabilities"].sum(axis=1) == pytest.approx(1)


def test_loading_a_model_in_its_place_leaves_no_code_there(
    registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    uri = f"models:/{registered.model_id}"
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=tmp_path))
    before = directory_digest(model_files(str(folder)))
    mlflow.pyfunc.load_model(str(folder))
    assert directory_digest(model_files(str(folder))) == before


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        pytest.param(np.zeros((1, 3, 8, 8), np.float32), "float32", id="floats"),
        pytest.param(np.zeros((1, 4, 8, 8), np.uint16), "shape", id="four-channels"),
        pytest.param(np.zeros((3, 8, 8), np.uint16), "shape", id="no-batch"),
        pytest.param(
            np.full((1, 3, 8, 8), 2, np.uint16),
            "largest value of the batch is 2, so it looks normalized",
            id="normalized-and-cast",
        ),
    ],
)
def test_what_is_not_raw_counts_is_refused(
    registered: Registered, batch: np.ndarray, words: str
) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{registered.model_id}")
    with pytest.raises(MlflowException, match=words) as caught:
        model.predict(batch)
    assert caught.value.get_http_status_code() == 400


def test_the_bundle_itself_names_the_channels_it_takes(bundle: Path) -> None:
    floats = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(DataError, match="RFP1, HALO, HALO_MASKED, found float32"):
        open_bundle(bundle).predict(floats)


def test_a_tampered_bundle_is_not_served(
    registered: Registered, tmp_path: Path
) -> None:
    uri = f"models:/{registered.model_id}"
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=tmp_path))
    card = folder / "artifacts" / "bundle" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"classes": ["a", "b"]}))
    with pytest.raises(MlflowException, match=r"card\.json was altered"):
        mlflow.pyfunc.load_model(str(folder))


def test_a_folder_that_is_no_bundle_is_not_logged(tmp_path: Path, run_id: str) -> None:
    (tmp_path / "spec.json").write_bytes(to_json(RIGHT))
    with pytest.raises(BundleError, match="no readable card"):
        log_bundle(tmp_path, run_id=run_id, registered_name="x")
    for card, sentence in (
        ("[]", "is no object"),
        ("{}", "names family None"),
        ('{"family": "plate"}', "names no classes"),
    ):
        (tmp_path / "card.json").write_text(card)
        with pytest.raises(BundleError, match=sentence):
            log_bundle(tmp_path, run_id=run_id, registered_name="x")


def test_a_run_that_does_not_exist_is_told(client: MlflowClient, bundle: Path) -> None:
    with pytest.raises(TrackingError, match="could not be logged"):
        log_bundle(bundle, run_id="0" * 32, registered_name="nowhere")
