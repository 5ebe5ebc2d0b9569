from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from mlflow.store.artifact import artifact_repository_registry

from mlflow_normgate import modelfiles, places
from mlflow_normgate.modelfiles import (
    DESTINATION,
    HEAD_BYTES,
    ROOT,
    misplaced,
    model_files,
)
from normgate.errors import TrackingError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "1/models/m-0/artifacts"
ROOTS = ("file:///root", "mlflow-artifacts://own:5000/")
STORES = ("/store", "s3://bucket", "normgate+s3://bucket", "normgate+file:///store")
PROXY, LOCAL = ROOTS[1], ROOTS[0]
OPEN, SEALED = STORES[0], STORES[2]


@pytest.mark.parametrize(
    ("root", "store", "location", "trusted"),
    [
        pytest.param(PROXY, SEALED, f"mlflow-artifacts:/{MODEL}", True, id="proxied"),
        pytest.param(PROXY, SEALED, f"http://own:5000/{MODEL}", True, id="own-host"),
        pytest.param(PROXY, SEALED, f"http://other/{MODEL}", False, id="other-host"),
        pytest.param(
            PROXY, OPEN, f"mlflow-artifacts://other/{MODEL}", False, id="other-proxy"
        ),
        pytest.param(
            PROXY, SEALED, f"s3://bucket/{MODEL}", False, id="around-the-seal"
        ),
        pytest.param(PROXY, OPEN, f"s3://bucket/{MODEL}", True, id="no-seal"),
        pytest.param(LOCAL, OPEN, f"file:///root/{MODEL}", True, id="in-the-root"),
        pytest.param(PROXY, OPEN, f"/store/{MODEL}", True, id="in-the-store"),
        pytest.param(LOCAL, OPEN, f"file:///elsewhere/{MODEL}", False, id="elsewhere"),
        pytest.param(
            LOCAL, OPEN, f"file:///root/../elsewhere/{MODEL}", False, id="upwards"
        ),
    ],
)
def test_a_server_answers_only_for_its_own_store(
    monkeypatch: pytest.MonkeyPatch,
    root: str,
    store: str,
    location: str,
    trusted: bool,
) -> None:
    assert misplaced(location) is None
    monkeypatch.setenv(ROOT, root)
    monkeypatch.setenv(DESTINATION, store)
    assert (misplaced(location) is None) == trusted


def test_of_a_file_only_what_is_looked_into_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x02" + b"\x00" * 7 + b"{}" + b"x" * 99)
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * (HEAD_BYTES + 9))
    (tmp_path / "c.json").write_bytes(b"{}")
    (tmp_path / "d.bin").write_bytes(b"{}")
    heads = {path: len(file.head) for path, file in model_files(str(tmp_path)).items()}
    assert heads == {
        "a.safetensors": 10,
        "b.safetensors": HEAD_BYTES,
        "c.json": 2,
        "d.bin": 0,
    }


def test_what_is_kept_of_all_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modelfiles, "ALL_HEADS_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b"x" * 10)
    model_files(str(tmp_path))
    (tmp_path / "b.json").write_bytes(b"x")
    with pytest.raises(TrackingError, match="larger than 10 bytes together"):
        model_files(str(tmp_path))


def test_too_many_files_are_not_even_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"")
    with pytest.raises(TrackingError, match="more than 3 files"):
        model_files(str(tmp_path))


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "file").write_bytes(b"")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path) == str(inner):
            raise PermissionError(13, "Permission denied", str(inner))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(TrackingError, match="Permission denied"):
        model_files(str(tmp_path))


def test_whatever_a_store_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            raise ModuleNotFoundError("No module named 'google'")

    registry = artifact_repository_registry._artifact_repository_registry
    monkeypatch.setitem(registry._registry, "gs", Broken)
    with pytest.raises(TrackingError, match="No module named 'google'"):
        model_files(f"gs://bucket/{MODEL}")
