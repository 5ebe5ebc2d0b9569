"""`normgate server` in a process of its own, watched until its last child is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postgresql import die_with_parent
from tests.tracking.conftest import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_S = 300.0
STOP_S = 60.0
WORKERS = 2
READY = "Application startup complete."
NORMGATE = Path(sys.executable).with_name("normgate")


class Serving:
    """A server with two workers on a free port, started by the command itself.

    Args:
        folder: Its working folder, where its log is too.
        options: What stands behind `normgate server`.
        environment: More variables.
    """

    def __init__(
        self, folder: Path, options: Sequence[str], **environment: str
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._mark = uuid.uuid4().hex
        own = ["--port", str(self.port), "--workers", str(WORKERS)]
        begins = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [NORMGATE, "server", *own, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=die_with_parent,
                env=clean_environment(NORMGATE_TEST_MARK=self._mark, **environment),
            )
        self._wait(self._answers)
        self.started_s = time.monotonic() - begins
        """Seconds from the command to the first answer."""
        self._wait(lambda: self.log.read_text().count(READY) == WORKERS)

    def terminate(self) -> int:
        """Send SIGTERM to the command alone, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_S)

    def processes(self) -> list[int]:
        """Every process that came of it and still runs."""
        mark = f"NORMGATE_TEST_MARK={self._mark}".encode()
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdecimal() and mark in _environment(folder)
        ]

    def command_lines(self) -> list[str]:
        """How its processes appear in a list of processes."""
        lines = []
        for number in self.processes():
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            lines.append(b" ".join(words).decode())
        return lines

    def all_ended(self) -> bool:
        """Whether all of them end within a short while."""
        ends = time.monotonic() + STOP_S
        while self.processes() and time.monotonic() < ends:
            time.sleep(0.1)
        return not self.processes()

    def kill(self) -> None:
        """End whatever is left of it."""
        for number in self.processes():
            os.kill(number, signal.SIGKILL)
        self._process.wait()

    def _wait(self, ready: Callable[[], bool]) -> None:
        ends = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > ends or self._process.poll() is not None:
                self.kill()
                raise RuntimeError(self.log.read_text()[-4000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _environment(folder: Path) -> bytes:
    try:
        return (folder / "environ").read_bytes()
    except OSError:
        return b""
