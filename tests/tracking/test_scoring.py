"""The gate and the served model, met over HTTP as other people's clients meet them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from tests.tracking.bundle_files import (
    CONTRACT,
    RIGHT,
    WRONG,
    log_folder,
    trained_bundle,
    write_bundle,
)
from tests.tracking.conftest import clean_environment

from mlflow_normgate import reserved
from mlflow_normgate.bundles import log_bundle
from mlflow_normgate.registry import bind_contract, promote, resolve
from normgate.errors import DataError, PromotionRefused
from normgate.families import open_bundle
from normgate.families.plate.bundled import NORMALIZED_MAXIMUM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tracking.conftest import Server

START_S = 180.0


@pytest.fixture
def client(server: Server) -> Iterator[MlflowClient]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(server.uri)
    yield MlflowClient(server.uri)
    mlflow.set_tracking_uri(before)


def post(url: str, body: dict[str, object]) -> tuple[int, str]:
    """Send JSON, and return the status and what was answered."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_darkest_raw_batch_is_told_from_a_normalized_one(tmp_path: Path) -> None:
    bundle = open_bundle(trained_bundle(tmp_path / "bundle"))
    dark = np.zeros((1, 3, 8, 8), np.uint16)
    dark[0, 0, 0, 0] = NORMALIZED_MAXIMUM + 1
    assert bundle.predict(dark)["probabilities"].shape == (1, 2)
    dark[0, 0, 0, 0] = NORMALIZED_MAXIMUM
    with pytest.raises(DataError, match="so it looks normalized already"):
        bundle.predict(dark)


@pytest.mark.slow
def test_a_servers_refusal_reaches_every_client(
    server: Server, client: MlflowClient, tmp_path: Path
) -> None:
    name = tmp_path.name
    bind_contract(name, CONTRACT, "first")
    for number, spec in enumerate((WRONG, RIGHT)):
        logged = log_folder(client, write_bundle(tmp_path / str(number), spec))
        found = client.create_model_version(
            name, logged.source, logged.run_id, model_id=logged.model_id
        )
        assert found.tags[reserved.EVIDENCE] == "complete"
    for prefix in ("api", "ajax-api"):
        status, answer = post(
            f"{server.uri}/{prefix}/2.0/mlflow/registered-models/alias",
            {"name": name, "alias": "champion", "version": "1"},
        )
        assert status == 403
        said = json.loads(answer)
        assert said["error_code"] == "PERMISSION_DENIED"
        assert said["message"].startswith(f"Promotion of {name} version 1 to champion")
    started = time.monotonic()
    with pytest.raises(PromotionRefused) as caught:
        promote(name, "1")
    assert time.monotonic() - started < 30
    assert str(caught.value) == said["message"]
    status, _ = post(
        f"{server.uri}/api/2.0/mlflow/model-versions/transition-stage",
        {
            "name": name,
            "version": "1",
            "stage": "Production",
            "archive_existing_versions": False,
        },
    )
    assert status == 403
    promote(name, "2")
    assert resolve(name, tmp_path / "kept").version == "2"


@pytest.fixture
def scoring_uri(client: MlflowClient, tmp_path: Path) -> Iterator[str]:
    """A bundle that is logged to a real server and served by MLflow."""
    run_id = client.create_run("0").info.run_id
    bundle = trained_bundle(tmp_path / "bundle")
    found = log_bundle(bundle, run_id=run_id, registered_name=tmp_path.name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--port", port]
    command += ["--env-manager", "local", "--model-uri", f"models:/{found.model_id}"]
    python = os.path.dirname(sys.executable)  # noqa: PTH120 - a link must stay one
    environment = clean_environment(
        MLFLOW_TRACKING_URI=client.tracking_uri,
        PATH=f"{python}{os.pathsep}{os.environ['PATH']}",
        OMP_NUM_THREADS="1",
    )
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, tmp_path / "serve.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > ends or process.poll() is not None:
                raise RuntimeError(log.read_text()[-2000:]) from None
            time.sleep(0.5)


@pytest.mark.slow
def test_a_served_model_takes_raw_counts_and_refuses_normalized_ones(
    scoring_uri: str,
) -> None:
    raw = np.random.default_rng(0).integers(900, 9000, (2, 3, 8, 8))
    status, answer = post(scoring_uri, {"inputs": raw.tolist()})
    assert status == 200
    probabilities = np.array(json.loads(answer)["predictions"]["probabilities"])
    assert probabilities.shape == (2, 2)
    normalized = np.random.default_rng(0).uniform(0, 2.6, (2, 3, 8, 8))
    status, answer = post(scoring_uri, {"inputs": normalized.tolist()})
    assert status == 400
    assert "looks normalized already; send the raw counts" in answer
    status, answer = post(scoring_uri, {"inputs": [[[[1.5]], [[1.5]], [[1.5]]]]})
    assert status == 400
    assert "largest value of the batch is 1" in answer
