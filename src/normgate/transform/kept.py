"""What an interrupted count had counted, in a file that is written whole or not at all.

A state belongs to one job: its identity is a digest of everything that the counts
depend on, and a state of another identity is as none.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_FORMAT = "normgate.measure-state/1"
SAVE_SECONDS = 5.0
"""Between two states at the least."""
_QUICK = 0.5
"""Seconds that writing a state may take; where it takes longer, states are rarer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was counted so far."""

    done: frozenset[int]
    """Places of sources that were counted or quarantined."""
    corrupt: Mapping[int, str]
    """Why a source could not be read, by its place."""
    counters: Mapping[str, bytes]
    """Each counter's bytes, by name."""


class State:
    """A job's state file, which is left in place for the caller to remove.

    Args:
        path: The file.
        identity: A digest of all that the counts depend on.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        path: Path,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._identity, self._clock = path, identity, clock
        self._next = clock() + SAVE_SECONDS

    @property
    def due(self) -> bool:
        """Whether the last state is so old that another is worth its time."""
        return self._clock() >= self._next

    def save(self, kept: Kept) -> None:
        """Write a state."""
        began = self._clock()
        document = {
            "format": _FORMAT,
            "identity": self._identity,
            "done": sorted(kept.done),
            "corrupt": {str(at): why for at, why in kept.corrupt.items()},
            "counters": {
                name: base64.b64encode(data).decode()
                for name, data in kept.counters.items()
            },
        }
        write_atomic(self._path, json.dumps(document).encode())
        now = self._clock()
        self._next = now + SAVE_SECONDS * max(1.0, (now - began) / _QUICK)

    def read(self) -> Kept | None:
        """The last state of this job; None where there is none."""
        try:
            document = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        job = {"format": _FORMAT, "identity": self._identity}
        if not isinstance(document, dict) or not job.items() <= document.items():
            return None
        return Kept(
            done=frozenset(document["done"]),
            corrupt={int(at): why for at, why in document["corrupt"].items()},
            counters={
                name: base64.b64decode(text)
                for name, text in document["counters"].items()
            },
        )
