"""How often one client of a server may ask for what reads a model and is written down.

Registering, promoting, binding and renaming read every byte of models, and a refusal
adds a row to the ledger. Each client has a bucket of one minute's requests that fills
again steadily (a token bucket); who empties it is told with 429, which MLflow's clients
answer by waiting and asking again. A process without a server asks itself and is not
limited. Each worker of a server counts for itself.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict

from flask import has_request_context
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import REQUEST_LIMIT_EXCEEDED

from mlflow_normgate.actor import actor
from normgate.errors import SettingsError

VARIABLE = "NORMGATE_ASKS_PER_MINUTE"
ASKS_PER_MINUTE = 120
MOST_CLIENTS = 16_384
"""Clients that are remembered; the one that has not asked for longest is forgotten."""


class TooOften(MlflowException):
    """A client asks more often than it may; 429, so that it waits and asks again.

    Args:
        who: The client.
        asks: What it may ask in a minute.
        wait: Seconds until it may ask again.
    """

    def __init__(self, who: str, asks: int, wait: float) -> None:
        super().__init__(
            f"{who} has asked for more than {asks} registrations, promotions and "
            "changes of contracts a minute, so nothing was decided and nothing "
            f"changed. Ask again in {math.ceil(wait)} s.",
            error_code=REQUEST_LIMIT_EXCEEDED,
        )


class Buckets:
    """Buckets of requests, one for each client; thread-safe.

    Args:
        per_minute: What a bucket holds, and gains in a minute.
        most: Buckets that are kept.
    """

    def __init__(self, per_minute: int, most: int = MOST_CLIENTS) -> None:
        self._size, self._most = per_minute, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, who: str, now: float) -> float:
        """Take one request out of a client's bucket.

        Args:
            who: The client.
            now: Seconds of a clock that never goes back.

        Returns:
            Seconds until there is one, when nothing was taken; else 0.
        """
        gain = self._size / 60
        with self._lock:
            left, then = self._left.pop(who, (float(self._size), now))
            left = min(self._size, left + (now - then) * gain)
            taken = left >= 1
            self._left[who] = (left - taken, now)
            if len(self._left) > self._most:
                self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / gain


_buckets: Buckets | None = None


def asks_per_minute() -> int:
    """What one client may ask of one worker in a minute; 0 if there is no limit.

    Raises:
        SettingsError: If the variable holds anything but a whole number from 0.
    """
    text = os.environ.get(VARIABLE, str(ASKS_PER_MINUTE))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise SettingsError(
            f"{VARIABLE} is {text!r}; expected a whole number such as "
            f"{ASKS_PER_MINUTE}, or 0 for no limit"
        )
    return int(text)


def keep_pace() -> None:
    """Count one request of the client that is being served, if one is.

    Raises:
        TooOften: It has to wait.
    """
    global _buckets
    if not has_request_context() or not (limit := asks_per_minute()):
        return
    if _buckets is None:
        _buckets = Buckets(limit)
    who = actor()
    wait = _buckets.take(who, time.monotonic())
    if wait:
        raise TooOften(who[:1].upper() + who[1:], limit, wait)
