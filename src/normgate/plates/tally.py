"""Counting every pixel of a plate table once: streaming, threaded, resumable, exact.

Pictures are counted in pieces by threads; a piece's counts are added to the total when
it is done. Counts are integers, so that neither order nor threads nor an interruption
changes a result. Progress is kept in one state file, written whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from normgate.errors import CorruptImage, DataError
from normgate.plates.read import read_image, read_mask
from normgate.transform.kept import Kept, State
from normgate.transform.threads import streamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from normgate.transform.threads import Spread

PIECE = 16
"""Pictures counted by one thread at a time."""

Progress = Callable[[int, int], None]
MaskRule = Callable[["NDArray[Any]"], "NDArray[np.bool_] | None"]


class Counter(Protocol):
    """What counts one channel's pixels; `transform.histogram` has them."""

    def add(self, image: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Count an image's pixels where the mask is true."""

    def merge(self, other: Any) -> None:
        """Add another's counts."""

    def to_bytes(self) -> bytes:
        """The counts as bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One picture to count."""

    marker: str
    path: Path
    mask: Path | None = None
    """The file of pixels that count; None for no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """How one pass over the pictures counts."""

    name: str
    empty: Callable[[str], Counter]
    """A marker's counter that has seen nothing."""
    load: Callable[[bytes], Counter]
    """A counter from its bytes."""
    rule: MaskRule
    """Which pixels of a picture count; None for all."""


@dataclass(slots=True)
class Tally:
    """What was counted so far."""

    counters: dict[str, Counter]
    done: set[int] = field(default_factory=set)
    """Places of the pictures counted or quarantined, in the list of sources."""
    corrupt: dict[int, str] = field(default_factory=dict)
    """Why a picture could not be read, by its place."""

    def add(self, piece: Tally) -> None:
        """Add what one thread has counted."""
        for marker, counter in piece.counters.items():
            self.counters[marker].merge(counter)
        self.done |= piece.done
        self.corrupt |= piece.corrupt

    def kept(self) -> Kept:
        """As a state file takes it."""
        return Kept(
            done=frozenset(self.done),
            corrupt=self.corrupt,
            counters={marker: one.to_bytes() for marker, one in self.counters.items()},
        )


def count(
    sources: Sequence[Source],
    how: Pass,
    *,
    state: Path,
    stamp: str,
    workers: int = 1,
    spread: Spread | None = None,
    progress: Progress | None = None,
) -> Tally:
    """Count every picture once, going on from a state file where there is one.

    Args:
        sources: The pictures, in a fixed order.
        how: What counts.
        state: The state file; it is left in place for the caller to remove.
        stamp: What the counts depend on besides the sources; a state of another stamp
            is put aside.
        workers: Threads.
        spread: What counts the pieces instead of threads.
        progress: Told of the pictures done and of their total.

    Returns:
        The counts, and the pictures that could not be read.

    Raises:
        DataError: A picture is not raw counts, or of another type than the first.
    """
    file = State(state, _identity(sources, how, stamp))
    total = _resumed(file, how) or Tally(
        {
            marker: how.empty(marker)
            for marker in dict.fromkeys(s.marker for s in sources)
        }
    )
    left = [at for at in range(len(sources)) if at not in total.done]
    pieces = (left[i : i + PIECE] for i in range(0, len(left), PIECE))
    if progress is not None:
        progress(len(total.done), len(sources))
    counted = partial(_count_piece, sources=sources, how=how)
    for piece in (
        spread(counted, pieces) if spread else streamed(counted, pieces, workers)
    ):
        total.add(piece)
        if progress is not None:
            progress(len(total.done), len(sources))
        if file.due:
            file.save(total.kept())
    file.save(total.kept())
    return total


def _count_piece(piece: Iterable[int], sources: Sequence[Source], how: Pass) -> Tally:
    tally = Tally({})
    for at in piece:
        source = sources[at]
        counter = tally.counters.setdefault(source.marker, how.empty(source.marker))
        try:
            _count_one(counter, source, how)
        except CorruptImage as error:
            tally.corrupt[at] = str(error)
        tally.done.add(at)
    return tally


def _count_one(counter: Counter, source: Source, how: Pass) -> None:
    image = read_image(source.path)
    mask = how.rule(image)
    if source.mask is not None:
        inside = read_mask(source.mask) != 0
        if inside.shape != image.shape:
            msg = f"mask {source.mask} is {inside.shape}, {source.path} {image.shape}"
            raise DataError(msg + "; give a mask of the picture's shape")
        mask = inside if mask is None else mask & inside
    try:
        counter.add(image, mask)
    except DataError as error:
        raise DataError(f"{source.marker}, {source.path}: {error}") from error


def _identity(sources: Sequence[Source], how: Pass, stamp: str) -> str:
    digest = hashlib.sha256(f"{how.name}\n{stamp}\n".encode())
    for source in sources:
        digest.update(f"{source.marker}\t{source.path}\t{source.mask}\n".encode())
    return digest.hexdigest()


def _resumed(file: State, how: Pass) -> Tally | None:
    """The tally of a state file of the same job; None where there is none."""
    kept = file.read()
    if kept is None:
        return None
    return Tally(
        {marker: how.load(data) for marker, data in kept.counters.items()},
        set(kept.done),
        dict(kept.corrupt),
    )
