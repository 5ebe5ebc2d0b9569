"""Reading the sample of a plate table: each picture once, its facts and its counts.

`_yx` arrays are single planes (rows, columns).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normgate.check.facts import PictureFacts, Place
from normgate.contract import normal_form
from normgate.errors import DataError
from normgate.plates.inspection import absent_chunks, inspect_array
from normgate.plates.read import read_image
from normgate.transform.apply import Normalizer
from normgate.transform.distribution import Distribution
from normgate.transform.histogram import FloatHistogram, IntegerHistogram
from normgate.transform.threads import streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec

THINNED = 1 << 16
"""Pixels of a picture, evenly taken, by which markers are compared."""


class Key(NamedTuple):
    """Whose pixels are counted together."""

    marker: str
    timepoint_ms: int
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: where, and the file of each marker."""

    place: Place
    files: Mapping[str, Path]


@dataclass(slots=True)
class Sampled:
    """What was read so far."""

    pictures: list[PictureFacts] = field(default_factory=list)
    before: dict[Key, IntegerHistogram | FloatHistogram] = field(default_factory=dict)
    after: dict[str, FloatHistogram] = field(default_factory=dict)
    """By channel, where a step is measured on each picture; whole pictures, uncut."""
    alike: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)

    def add(self, other: Sampled) -> None:
        """Add what another thread has read."""
        self.pictures += other.pictures
        self.quarantined += other.quarantined
        for pair, found in other.alike.items():
            self.alike.setdefault(pair, []).extend(found)
        for key, counts in other.before.items():
            own = self.before.setdefault(key, counts)
            if own is not counts:
                own.merge(counts)  # type: ignore[arg-type]
        for name, after in other.after.items():
            self.after.setdefault(name, FloatHistogram()).merge(after)


def read_sample(
    rows: Sequence[Row],
    spec: Spec | None,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Sampled:
    """Read rows by threads, in constant memory.

    A picture that can't be read, or is not raw counts, is quarantined with its reason.
    """
    total = Sampled()
    read = partial(_read_row, spec=spec)
    for done, one in enumerate(streamed(read, rows, workers), start=1):
        total.add(one)
        if progress is not None:
            progress(done, len(rows))
    return total


def _read_row(row: Row, spec: Spec | None) -> Sampled:
    found = Sampled()
    planes: dict[str, NDArray[Any]] = {}
    for marker, path in row.files.items():
        try:
            plane_yx = read_image(path)
            _note(found, row.place, marker, path, plane_yx)
        except DataError as error:
            found.quarantined.append(f"{row.place}, {marker}: {error}")
        else:
            planes[marker] = plane_yx
    for one, other in combinations(planes, 2):
        if planes[one].shape == planes[other].shape:
            found.alike[one, other] = [_correlation(planes[one], planes[other])]
    if spec is not None:
        _normalize(found, row.place, planes, spec)
    return found


def _note(
    found: Sampled, place: Place, marker: str, path: Path, plane_yx: NDArray[Any]
) -> None:
    """Count a picture and take down its facts."""
    traps = (*absent_chunks(path), *inspect_array(plane_yx, str(path)))
    counts = _counted(plane_yx)
    seen = Distribution.of(counts)
    shape = f"{plane_yx.dtype} {plane_yx.shape}"
    pixels = np.ascontiguousarray(plane_yx)
    found.before[Key(marker, place.timepoint_ms, str(plane_yx.dtype))] = counts
    found.pictures.append(
        PictureFacts(
            marker=marker,
            place=place,
            path=str(path),
            dtype=str(plane_yx.dtype),
            mean=seen.mean,
            std=seen.std,
            p1=seen.percentile(1),
            p99=seen.percentile(99),
            digest=hashlib.sha256(shape.encode() + pixels.data).hexdigest(),
            traps=traps,
        )
    )


def _counted(plane_yx: NDArray[Any]) -> IntegerHistogram | FloatHistogram:
    if plane_yx.dtype == np.float32:
        counts: IntegerHistogram | FloatHistogram = FloatHistogram()
    else:
        counts = IntegerHistogram(plane_yx.dtype.name)  # type: ignore[arg-type]
    counts.add(plane_yx)
    return counts


def _correlation(one_yx: NDArray[Any], other_yx: NDArray[Any]) -> float:
    """Pearson's r over evenly taken pixels; 0 where one picture is a constant."""
    step = max(one_yx.size // THINNED, 1)
    # A stride that shares a factor with the width would take columns alone.
    step += step > 1 and one_yx.shape[1] % step == 0
    x = one_yx.reshape(-1)[::step].astype(np.float64)
    y = other_yx.reshape(-1)[::step].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0


def _normalize(
    found: Sampled, place: Place, planes: Mapping[str, NDArray[Any]], spec: Spec
) -> None:
    """Count what per-picture steps give; fixed channels follow from their counts."""
    own = [c for c in spec.channels if _shows(c, place, planes)]
    measured = [c for c in own if not normal_form(c).fixed]
    if not measured:
        return
    some = spec.model_copy(update={"channels": tuple(own)})
    try:
        images_cyx = Normalizer(some)([planes[c.marker] for c in own])
    except DataError as error:
        found.quarantined.append(f"{place}: {error}")
        return
    for channel, image_yx in zip(own, images_cyx, strict=True):
        if channel in measured:
            counts = found.after.setdefault(channel.name, FloatHistogram())
            counts.add(image_yx)


def _shows(channel: Channel, place: Place, planes: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a row has the picture of a channel, in the channel's own type."""
    plane = planes.get(channel.marker)
    timely = channel.timepoint_ms in (None, place.timepoint_ms)
    return timely and plane is not None and str(plane.dtype) == channel.input


def joined(
    counts: Iterable[IntegerHistogram | FloatHistogram],
) -> Distribution | None:
    """Several counts of one type of pixel as one distribution; None for none."""
    found = [Distribution.of(one) for one in counts]
    if not found:
        return None
    values, places = np.unique(
        np.concatenate([one.values for one in found]), return_inverse=True
    )
    total = np.zeros(len(values), dtype=np.int64)
    np.add.at(total, places, np.concatenate([one.counts for one in found]))
    return Distribution(values, total)
