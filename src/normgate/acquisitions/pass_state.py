"""The state of a pass over acquisitions, so that one that was killed goes on.

Acquisitions are counted in the table's order, so a state is of the first so many. It
depends on their files, too: where one was changed, the pass begins anew.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from normgate.transform.float_histogram import FineHistogram, FloatHistogram
from normgate.transform.kept import Kept, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from normgate.acquisitions.table import Acquisition
    from normgate.acquisitions.tally import Tally

_Counts = TypeVar("_Counts", FloatHistogram, FineHistogram)


class PassStates:
    """Reads and writes the state of one pass.

    Args:
        stem: What the file's name begins with; None for a pass that keeps none.
        identity: Of the pass, see `identity_of`.
        acquisitions: All, in the order in which they are counted.
    """

    def __init__(
        self, stem: Path | None, identity: str, acquisitions: Sequence[Acquisition]
    ) -> None:
        self._acquisitions = acquisitions
        self._state: State | None = None
        if stem is not None:
            # Each pass has its own file, so that a later one never ends an earlier.
            path = stem.with_name(f"{stem.name}.{identity[:8]}")
            self._state = State(path, identity)

    def resume(
        self,
        tally: Tally[_Counts],
        load: Callable[[bytes], _Counts],
        quarantined: dict[str, str],
    ) -> int:
        """Fill an empty tally with what was counted, and the quarantine.

        Returns:
            How many acquisitions are done.

        Raises:
            DataError: The state holds something else than counts.
        """
        kept = None if self._state is None else self._state.read()
        if kept is None:
            return 0
        first = [one.acquisition for one in self._acquisitions[: len(kept.done)]]
        quarantined.update({first[at]: why for at, why in kept.corrupt.items()})
        tally.counts = [load(kept.counters[name]) for name in tally.names]
        tally.acquisitions = tuple(name for name in first if name not in quarantined)
        return len(first)

    def save(
        self,
        done: int,
        tally: Tally[_Counts],
        quarantined: Mapping[str, str],
        *,
        last: bool = False,
    ) -> None:
        """Write a state of the first so many, where it is time or the last one."""
        if self._state is None or not (last or self._state.due):
            return
        first = [one.acquisition for one in self._acquisitions[:done]]
        each = zip(tally.names, tally.counts, strict=True)
        kept = Kept(
            done=frozenset(range(done)),
            corrupt={
                at: quarantined[name]
                for at, name in enumerate(first)
                if name in quarantined
            },
            counters={name: counts.to_bytes() for name, counts in each},
        )
        self._state.save(kept)


def identity_of(what: str, acquisitions: Sequence[Acquisition]) -> str:
    """A digest of a pass and of its acquisitions' files by size and time, in hex."""
    digest = hashlib.sha256(f"{what}\n".encode())
    for one in acquisitions:
        files = [_seen(path) for path in (one.image.path, one.panel)]
        digest.update(f"{one!r} {files}\n".encode())
    return digest.hexdigest()


def _seen(path: Path | None) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_size, found.st_mtime_ns)
