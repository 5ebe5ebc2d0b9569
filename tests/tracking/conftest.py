"""A real MLflow server that can be killed and started again, and small databases."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.postgresql import die_with_parent

from mlflow_normgate.runs import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_START_S = 300.0


class Server:
    """`mlflow server` on SQLite and a free port of this machine.

    It keeps its port and its data, so that a client finds it again after `stop`.

    Args:
        folder: For its database, artifacts and log.
        options: More options of `mlflow server`; the last of a kind counts.
        environment: More variables for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._options = options
        self._environment = environment or {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when the server answers."""
        log = (self.folder / "server.log").open("ab")
        command = [sys.executable, "-m", "mlflow", "server"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        command += self._options
        variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
                env=clean_environment(**variables, **self._environment),
            )
        ends = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.2)

    def stop(self) -> None:
        """Kill it with all its workers, as a power cut would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without MLflow's settings, for a new process.

    Tests ask a server faster than people do, so it has no limit unless they set one.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "NORMGATE_ASKS_PER_MINUTE": "0"}
    return {**kept, **own, **more}


@pytest.fixture(autouse=True)
def short_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that `run_entry` gives a process, and no run to adopt."""
    for key in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(session_server: Server) -> Server:
    """A server that answers, whatever the test before did to it."""
    if not session_server._answers():
        session_server.start()
    return session_server


@pytest.fixture
def place(tmp_path: Path, empty_database: Path) -> Place:
    """An experiment in a database file of its own."""
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    experiment = MlflowClient(uri).create_experiment(
        "plates", artifact_location=(tmp_path / "artifacts").as_uri()
    )
    return Place(
        tracking_uri=uri, experiment_id=experiment, spool_root=tmp_path / "spool"
    )


@pytest.fixture
def server_place(server: Server, tmp_path: Path) -> Place:
    """An experiment of its own on the real server."""
    experiment = MlflowClient(server.uri).create_experiment(tmp_path.name)
    return Place(
        tracking_uri=server.uri,
        experiment_id=experiment,
        spool_root=tmp_path / "spool",
        close_patience_s=4.0,
    )
