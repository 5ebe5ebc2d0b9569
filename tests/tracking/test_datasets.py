"""Plate tables as data sets of a run."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from mlflow_normgate.datasets import file_digest, log_table
from mlflow_normgate.runs import Place, parent_run
from mlflow_normgate.tracker import MlflowTracker
from normgate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

CSV = b"plate,well\nP1,B02\nP1,B03\n"


def test_a_plate_table_is_logged_under_its_whole_digest(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "plates.csv"
    path.write_bytes(CSV)
    whole = hashlib.sha256(CSV).hexdigest()
    with parent_run(place, "train", "a" * 64) as run:
        assert isinstance(run.tracker, MlflowTracker)
        for _ in range(2):
            assert log_table(run.tracker, path, "training") == whole
    logged = run.client.get_run(run.run_id)
    (given,) = logged.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("plates", whole[:36])
    assert json.loads(given.dataset.source) == {"uri": str(path)}
    assert json.loads(given.dataset.profile) == {"rows": 2, "sha256": whole}
    assert {tag.key: tag.value for tag in given.tags} == {
        "mlflow.data.context": "training",
        "normgate.sha256": whole,
    }
    assert logged.data.tags["normgate.dataset.training"] == whole


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv can't be read"):
        file_digest(tmp_path / "none.csv")
