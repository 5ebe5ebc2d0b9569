"""The background thread that sends a spool while training goes on.

It batches what gathered since it last looked, waits longer after each failure, and
at the end tries for a bounded time. It never raises into the training thread.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from mlflow_normgate.replay import Replay, Unreachable

if TYPE_CHECKING:
    from mlflow_normgate.spool import SpoolWriter

_logger = logging.getLogger(__name__)
_GATHER_S = 0.5
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0


class Sender:
    """Sends one spool from its own thread.

    Args:
        writer: The spool that is being written.
        replay: What sends it.
        close_patience_s: Seconds to try at the end while the server is away.
        upload_patience_s: Seconds to wait at the end while sending succeeds.
    """

    def __init__(
        self,
        writer: SpoolWriter,
        replay: Replay,
        *,
        close_patience_s: float = 20.0,
        upload_patience_s: float = 600.0,
    ) -> None:
        self._writer = writer
        self._replay = replay
        self._close_patience_s = close_patience_s
        self._upload_patience_s = upload_patience_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._idle = threading.Condition()
        self._sent_all = True
        self._failing = False
        self._thread = threading.Thread(
            target=self._work, name="normgate-sender", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that there is something to send."""
        with self._idle:
            self._sent_all = False
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything was sent; False if the time ran out."""
        with self._idle:
            return self._idle.wait_for(lambda: self._sent_all, timeout_s)

    def close(self) -> bool:
        """Send the rest for a bounded time and stop; whether everything was sent."""
        self._closing.set()
        self._wake.set()
        began = time.monotonic()
        while self._thread.is_alive():
            limit = self._close_patience_s if self._failing else self._upload_patience_s
            if time.monotonic() - began > limit:
                return False
            self._thread.join(0.1)
        return self._sent_all

    def _work(self) -> None:
        try:
            self._loop()
        finally:
            self._writer.close()
            if self._replay.is_complete() and not self._replay.progress.refused:
                self._writer.spool.remove()
            self._writer.spool.release()

    def _loop(self) -> None:
        delay = 0.0
        ends: float | None = None
        while True:
            if self._closing.is_set():
                ends = ends or time.monotonic() + self._close_patience_s
                self._closing_pause(delay)
            else:
                self._pause(delay)
            delay = self._attempt(delay)
            if self._closing.is_set() and ends is not None:
                if not delay and self._sent_all:
                    return
                if delay and time.monotonic() + delay > ends:
                    return

    def _pause(self, delay: float) -> None:
        """Wait for work, or, after a failure, for the delay; closing ends both."""
        if delay:
            self._closing.wait(delay)
        else:
            self._wake.wait()
            self._closing.wait(_GATHER_S)

    def _closing_pause(self, delay: float) -> None:
        if delay:
            time.sleep(min(delay, 2.0))

    def _attempt(self, delay: float) -> float:
        """Send what there is; the seconds to wait after a failure, or 0."""
        self._wake.clear()
        try:
            self._writer.flush_to_disk()
            self._replay.send()
        except Unreachable as error:
            self._tell_failure(error)
            longer = min(max(delay * 2, _FIRST_DELAY_S), _LONGEST_DELAY_S)
            return min(longer, 2.0) if self._closing.is_set() else longer
        except Exception:
            _logger.exception("sending the spool failed; its records are kept")
            return _LONGEST_DELAY_S
        if self._failing:
            _logger.warning("the tracking server is back; everything was sent")
        self._failing = False
        with self._idle:
            self._sent_all = not self._wake.is_set() and self._replay.is_complete()
            self._idle.notify_all()
        return 0.0

    def _tell_failure(self, error: Unreachable) -> None:
        if not self._failing:
            _logger.warning(
                "the tracking server is away; records are kept in %s meanwhile (%s)",
                self._writer.spool.records_file,
                str(error)[:200],
            )
        self._failing = True
