"""Servers as processes of their own: gated, plain, and with accounts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postgresql import die_with_parent
from tests.tracking.conftest import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_S = 300.0
WITHOUT_NORMGATE = Path(__file__).parent / "without"
"""On PYTHONPATH it hides normgate from a process; see `sitecustomize` there."""
HIDDEN = {"PYTHONPATH": str(WITHOUT_NORMGATE)}
ADMINISTRATOR = {
    "MLFLOW_TRACKING_USERNAME": "admin",
    "MLFLOW_TRACKING_PASSWORD": "a long password of the tests",
}
AUTHENTICATION = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


class Running:
    """A server on a free port of this machine.

    Args:
        command: Its command, without host and port.
        folder: Its working folder.
        environment: What it is told besides.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = folder / f"server-{self.port}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
                env=clean_environment(
                    MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **(environment or {})
                ),
            )

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> Running:
        """Return when it answers."""
        ends = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError(self.log())
            time.sleep(0.1)
        return self

    def log(self) -> str:
        """What it said last."""
        return self._log.read_text()[-4000:]

    def stop(self) -> None:
        """Kill it with all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def gated(database: str, folder: Path, *, accounts: bool) -> Running:
    """`normgate server`, with accounts and workspaces if they are asked for."""
    script = "from normgate.cli import main; main(prog_name='normgate')"
    command = [sys.executable, "-c", script, "server", "--store", database]
    command += ["--artifacts", str(folder / "artifacts"), "--workers", "1"]
    if not accounts:
        return Running(command, folder)
    (folder / "auth.ini").write_text(AUTHENTICATION.format(folder=folder))
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "long and random enough for a test",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMINISTRATOR["MLFLOW_TRACKING_PASSWORD"],
    }
    command += ["--app-name", "basic-auth", "--enable-workspaces"]
    return Running(command, folder, environment)


def plain(database: str, folder: Path) -> Running:
    """`mlflow server` where normgate is not installed."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    return Running(command, folder, HIDDEN)
