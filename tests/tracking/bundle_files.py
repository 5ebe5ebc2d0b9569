"""Small bundles made by hand, as training would close them, and ways to break them."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from safetensors.numpy import save_file

from mlflow_normgate.bundles import SCORING
from normgate.contract import (
    Contract,
    Floor,
    contract_for,
    read_spec,
    spec_digest,
    to_json,
)
from normgate.gate.vitals import channel_std
from normgate.plates.geometry import Geometry
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from normgate.contract import Spec

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"
RIGHT = read_spec(SPECS / "plate_3ch.json")
WRONG = read_spec(SPECS / "plate_3ch_fluorescence.json")
EXPERIMENT = "bundles"
GEOMETRY = Geometry(kind="tile", window=8, size=8)
CONTRACT = contract_for(
    RIGHT,
    name="plate",
    floors=(Floor(metric="test_auroc", minimum=Decimal("0.7")),),
)


FLUORESCENCE = contract_for(WRONG, name="fluorescence")
"""A contract that what fulfils `CONTRACT` does not fulfil."""


MLMODEL = """\
artifact_path: /store/1/models/{model_id}/artifacts
flavors:
  python_function:
    artifacts:
      bundle:
        path: artifacts/bundle
        uri: /scratch/bundle
    cloudpickle_version: 3.1.2
    code: null
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.pyfunc.loaders.code_model
    model_code_path: /site-packages/mlflow_normgate/scoring.py
    python_version: 3.11.7
    streamable: false
is_signature_from_type_hint: false
metadata:
  normgate.family: plate
  normgate.spec_digest: none
mlflow_version: 3.17.2
model_id: {model_id}
model_size_bytes: 227542
model_uuid: {model_id}
prompts: null
run_id: none
saved_input_example_info:
  artifact_path: input_example.json
  serving_input_path: serving_input_example.json
  type: ndarray
signature:
  inputs: '[]'
  outputs: '[]'
  params: null
type_hint_from_example: false
utc_time_created: '2026-11-21 07:29:06.677599'
"""
ENVIRONMENT = {
    "conda.yaml": """\
channels:
- conda-forge
dependencies:
- python=3.11.7
- pip<=23.2.1
- pip:
  - mlflow==3.17.2
  - normgate[train]==0.1.0
name: mlflow-env
""",
    "input_example.json": "[]",
    "python_env.yaml": """\
python: 3.11.7
build_dependencies:
- pip==23.2.1
- setuptools==84.2.1
- wheel
dependencies:
- -r requirements.txt
""",
    "requirements.txt": "mlflow==3.17.2\nnormgate[train]==0.1.0",
    "serving_input_example.json": "[]",
}


def second_version() -> Contract:
    """The same contract's next version, which demands no metric."""
    return contract_for(RIGHT, name="plate", version=2)


def write_bundle(folder: Path, spec: Spec = RIGHT, *, auroc: float = 0.9) -> Path:
    """Write a closed bundle of two members that keeps every promise."""
    fingerprint = expected_fingerprint(spec, GEOMETRY)
    digest = spec_digest(spec)
    marks = {"spec_digest": digest, "applied_fingerprint": fingerprint}
    (folder / "members").mkdir(parents=True)
    for number in range(2):
        weights = {"head.weight": np.full((2, 3), number, dtype=np.float32)}
        path = folder / "members" / f"{number:02d}.safetensors"
        save_file(weights, path, metadata={**marks, "replicate": str(number)})
    (folder / "spec.json").write_bytes(to_json(spec))
    write_card(folder, metrics={"test_auroc": auroc})
    close(folder)
    return folder


def write_card(folder: Path, **changes: Any) -> None:
    """Write the card, with some fields changed."""
    card = {
        "format": "normgate.card/1",
        "family": "plate",
        "preset": "rescue",
        "classes": ["WT", "APP"],
        "positive": "APP",
        "geometry": GEOMETRY.to_json(),
        "timepoint_ms": 0,
        "members": [{"replicate": 0}, {"replicate": 1}],
        "metrics": {"test_auroc": 0.9},
        "vitals": [channel_std("RFP1", 1.0).record()],
    }
    (folder / "card.json").write_text(json.dumps(card | changes))


def close(folder: Path) -> None:
    """Write the manifest over what the folder holds."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    manifest = {"format": "normgate.manifest/1", "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@dataclass(frozen=True, slots=True)
class Logged:
    """A logged model and the run that made it."""

    model_id: str
    run_id: str
    location: str

    @property
    def source(self) -> str:
        return f"models:/{self.model_id}"


@cache
def _empty_database() -> bytes:
    """MLflow's own tables: making them takes seconds, copying them none."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


@contextmanager
def database(folder: Path, scheme: str = "normgate+sqlite") -> Iterator[MlflowClient]:
    """A tracking database and its registry, as a process without a server has them."""
    (folder / "mlflow.db").write_bytes(_empty_database())
    uri = f"sqlite:///{folder}/mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri, uri.replace("sqlite", scheme, 1))
    client.create_experiment(EXPERIMENT, (folder / "artifacts").as_uri())
    try:
        yield client
    finally:
        mlflow.set_tracking_uri(before)


def write_model(folder: Path, bundle: Path, model_id: str) -> Path:
    """Write what `log_bundle` writes, without MLflow: it takes seconds for that."""
    shutil.copytree(bundle, folder / "artifacts" / "bundle")
    shutil.copy(SCORING, folder)
    (folder / "MLmodel").write_text(MLMODEL.format(model_id=model_id))
    for name, text in ENVIRONMENT.items():
        (folder / name).write_text(text)
    return folder


def log_folder(client: MlflowClient, bundle: Path, *, ready: bool = True) -> Logged:
    """Log a bundle as a model, as `log_bundle` would."""
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    run_id = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="demo", source_run_id=run_id)
    model_folder = bundle.parent / f"model-{model.model_id}"
    write_model(model_folder, bundle, model.model_id)
    client.log_model_artifacts(model.model_id, str(model_folder))
    if ready:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return Logged(model.model_id, run_id, model.artifact_location)


def trained_bundle(folder: Path, spec: Spec = RIGHT) -> Path:
    """Write a bundle by the engine itself, of a network that was never fitted."""
    import torch

    from normgate.engine.bundle import write_bundle as write
    from normgate.engine.card import Card, MemberCard
    from normgate.families.plate.bundled import PlateBundles

    member = MemberCard(
        replicate=0,
        seed=0,
        train_groups=("B02",),
        validation_groups=("B03",),
        test_groups=("B04",),
        temperature=1.5,
        metrics={"test_auroc": 0.9},
    )
    card = Card(
        family="plate",
        preset="rescue",
        settings={"model": {"backbone": "demo", "width": 1.0, "dropout": 0.0}},
        classes=("WT", "APP"),
        positive="APP",
        geometry=GEOMETRY.to_json(),
        timepoint_ms=0,
        spec_digest=spec_digest(spec),
        applied_fingerprint=expected_fingerprint(spec, GEOMETRY),
        members=(member,),
        metrics={"test_auroc": 0.9},
        vitals=(channel_std("RFP1", 1.0).record(),),
        code_version="0",
        created="2026-01-01T00:00:00Z",
    )
    torch.manual_seed(0)
    family = PlateBundles()
    write(
        folder,
        family=family,
        spec=spec,
        provenance=None,
        card=card,
        states=[family.network(spec, card).state_dict()],
        golden_raw=torch.randint(900, 9000, (2, 3, 8, 8)).to(torch.uint16),
    )
    return folder
