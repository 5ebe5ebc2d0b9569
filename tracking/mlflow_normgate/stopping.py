"""Signals of an entry point: asked to stop, it stops, whoever was asked.

SIGTERM and Ctrl-C raise `normgate.errors.Interrupted` in the main thread. `mlflow
run` starts an entry through a shell and, when it is killed, leaves it running: so an
entry that was started by it also watches it, and stops when it is gone.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_normgate.process import start_time
from normgate.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_logger = logging.getLogger(__name__)
_SHELLS = {"bash", "dash", "sh", "zsh", "ksh", "ash", "busybox"}
_REPEAT_S = 10.0
_POLL_S = 0.5


class _Stopper:
    """Raises once for a stop; what follows at once belongs to the same stop.

    Ctrl-C reaches the whole group, and `mlflow run` then sends SIGTERM as well; a
    second exception would break the writing of the checkpoint.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._last is not None and now - self._last < _REPEAT_S:
            return
        self._last = now
        raise Interrupted(number)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `Interrupted` within the block.

    Outside the main thread Python allows no handlers, and nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopper = _Stopper()
    former = {
        number: signal.signal(number, stopper)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def watch_launcher(run_id: str) -> int | None:
    """Stop this process when the `mlflow run` that started it is gone.

    Args:
        run_id: The run that the launcher made; its shells carry it as MLFLOW_RUN_ID.

    Returns:
        The launcher's process number, or None if it could not be told.
    """
    launcher = find_launcher(run_id)
    if launcher is None:
        return None
    watcher = threading.Thread(
        target=_stop_after, args=(launcher,), name="normgate-launcher", daemon=True
    )
    watcher.start()
    return launcher


def find_launcher(run_id: str) -> int | None:
    """The nearest ancestor that is no shell of this run; None if unsure.

    A shell in which somebody set MLFLOW_RUN_ID by hand is not a launcher: work that
    was sent to the background there must outlive it.
    """
    pid = os.getppid()
    while pid > 1:
        name, parent = _name_and_parent(pid)
        if name not in _SHELLS:
            return pid if name else None
        if f"MLFLOW_RUN_ID={run_id}".encode() not in _environment(pid):
            return None
        pid = parent
    return None


def _stop_after(launcher: int) -> None:
    started = start_time(launcher)
    _wait_for_end(launcher, started)
    _logger.warning("mlflow run (process %d) is gone: stopping", launcher)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_end(pid: int, started: str | None) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            pass
        else:
            try:
                select.select([descriptor], [], [])
            finally:
                os.close(descriptor)
            return
    while started is not None and start_time(pid) == started:
        time.sleep(_POLL_S)


def _name_and_parent(pid: int) -> tuple[str, int]:
    """A process's command name and parent; ("", 0) where that can't be told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    name = text[text.index("(") + 1 : text.rindex(")")]
    return name, int(text.rpartition(")")[2].split()[1])


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
