"""What a table of acquisitions says of itself, in one pass: facts without a judgement.

`_ac` arrays are (acquisitions, channels).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import CorruptImage, DataError
from normgate.transform.float_histogram import FloatHistogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.load import Loader
    from normgate.acquisitions.table import Acquisition

MOST_DRAWN = 24
"""Channels whose histograms are kept, the first ones: each takes 4 MB."""
_BATCH = 1 << 20
"""Pixels of all drawn channels that are counted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Each channel of each acquisition by itself."""

    mean_ac: NDArray[np.float64]
    std_ac: NDArray[np.float64]
    """With ddof 0."""
    low_ac: NDArray[np.float64]
    high_ac: NDArray[np.float64]
    pixels_a: NDArray[np.float64]

    @property
    def mean_c(self) -> NDArray[np.float64]:
        """Mean of each channel over all pixels."""
        result: NDArray[np.float64] = self._weights @ self.mean_ac
        return result

    @property
    def std_c(self) -> NDArray[np.float64]:
        """Standard deviation of each channel over all pixels."""
        square = self.std_ac**2 + (self.mean_ac - self.mean_c) ** 2
        result: NDArray[np.float64] = np.sqrt(self._weights @ square)
        return result

    @property
    def _weights(self) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = self.pixels_a / self.pixels_a.sum()
        return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found."""

    names: tuple[str, ...]
    """The channels."""
    acquisitions: tuple[Acquisition, ...]
    """Those that could be read and bound."""
    raw: Moments
    after: Moments
    """Normalized."""
    zero_ac: NDArray[np.float64]
    """Share of raw values that are 0."""
    beyond_c2: NDArray[np.float64]
    """Share of raw values below and above the clip."""
    orders: dict[tuple[str, ...], tuple[str, ...]]
    """Each order in which files list these channels, and the acquisitions of it."""
    faults: tuple[tuple[str, str], ...]
    """Acquisitions that can't be used as they are, and why."""
    repeated: tuple[tuple[str, ...], ...]
    """Acquisitions of the very same values."""
    histograms: dict[str, tuple[FloatHistogram, FloatHistogram]]
    """Raw and normalized, of the first channels."""
    quarantined: tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    acquisitions: list[Acquisition] = field(default_factory=list)
    rows: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)
    orders: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    waiting: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(
        default_factory=list
    )
    """Pixels that are yet to be counted, raw and normalized, (channels, pixels)."""


def collect(
    loader: Loader,
    acquisitions: Sequence[Acquisition],
    clips: Sequence[tuple[float, float]],
    progress: Callable[[int, int], None] | None = None,
) -> Facts:
    """Read and normalize acquisitions, each once.

    Args:
        loader: What normalizes them; its geometry is of no effect.
        acquisitions: Which.
        clips: Where each channel clips raw values.
        progress: Told of the acquisitions done and of their total.

    Raises:
        DataError: Not one could be read and bound.
    """
    names, seen = loader.spec.names, _Seen()
    bounds = np.array(clips)
    histograms = {n: (FloatHistogram(), FloatHistogram()) for n in names[:MOST_DRAWN]}
    for done, acquisition in enumerate(acquisitions, start=1):
        try:
            _look(loader, acquisition, bounds, seen)
        except CorruptImage as error:
            seen.quarantined.append(f"{acquisition.name}: {error}")
        except DataError as error:
            seen.faults.append((acquisition.acquisition, str(error)))
        if sum(one.size for one, _ in seen.waiting) >= _BATCH:
            _count(seen, histograms)
        if progress is not None:
            progress(done, len(acquisitions))
    _count(seen, histograms)
    if not seen.rows:
        first = [why for _, why in seen.faults] + seen.quarantined + ["there is none"]
        raise DataError(f"no acquisition can be used; the first: {first[0]}")
    columns = {key: np.stack([row[key] for row in seen.rows]) for key in seen.rows[0]}
    pixels_a = columns["pixels"]
    beyond = np.einsum("a,acs->cs", pixels_a / pixels_a.sum(), columns["beyond"])
    return Facts(
        names=names,
        acquisitions=tuple(seen.acquisitions),
        raw=_moments("raw", columns),
        after=_moments("after", columns),
        zero_ac=columns["zero"],
        beyond_c2=beyond,
        orders={names: tuple(own) for names, own in seen.orders.items()},
        faults=tuple(seen.faults),
        repeated=tuple(tuple(own) for own in seen.digests.values() if len(own) > 1),
        histograms=histograms,
        quarantined=tuple(seen.quarantined),
    )


def _look(
    loader: Loader,
    acquisition: Acquisition,
    bounds: NDArray[np.float64],
    seen: _Seen,
) -> None:
    stack = loader.read(acquisition)
    planes = loader.planes(stack)
    raw_cyx = np.stack([plane.astype(np.float32) for plane in planes])
    after_cyx = loader.normalized(planes, acquisition.name)
    row = {**_row("raw", raw_cyx), **_row("after", after_cyx)}
    row["pixels"] = np.array(float(raw_cyx[0].size))
    row["zero"] = (raw_cyx == 0).mean(axis=(1, 2))
    low, high = bounds[:, 0, None, None], bounds[:, 1, None, None]
    sides = [(raw_cyx < low).mean(axis=(1, 2)), (raw_cyx > high).mean(axis=(1, 2))]
    row["beyond"] = np.stack(sides, axis=1)
    seen.waiting.append(
        (
            raw_cyx[:MOST_DRAWN].reshape(-1, raw_cyx[0].size),
            after_cyx[:MOST_DRAWN].reshape(-1, raw_cyx[0].size),
        )
    )
    wanted = set(loader.spec.names)
    order = tuple(n for one in stack.markers or () for n in sorted(one.names & wanted))
    digest = hashlib.sha256(f"{raw_cyx.shape}".encode() + raw_cyx.tobytes())
    seen.orders.setdefault(order, []).append(acquisition.acquisition)
    seen.digests.setdefault(digest.hexdigest(), []).append(acquisition.acquisition)
    seen.acquisitions.append(acquisition)
    seen.rows.append(row)


def _count(
    seen: _Seen, histograms: dict[str, tuple[FloatHistogram, FloatHistogram]]
) -> None:
    """Count what waits, all at once: a histogram costs more than a small image."""
    for side in (0, 1) if seen.waiting else ():
        pixels = np.concatenate([pair[side] for pair in seen.waiting], axis=1)
        for values, own in zip(pixels, histograms.values(), strict=True):
            own[side].add(values)
    seen.waiting.clear()


def _row(kind: str, image_cyx: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    values = image_cyx.astype(np.float64)
    return {
        f"{kind}.mean": values.mean(axis=(1, 2)),
        f"{kind}.std": values.std(axis=(1, 2)),
        f"{kind}.low": values.min(axis=(1, 2)),
        f"{kind}.high": values.max(axis=(1, 2)),
    }


def _moments(kind: str, columns: dict[str, NDArray[np.float64]]) -> Moments:
    return Moments(
        mean_ac=columns[f"{kind}.mean"],
        std_ac=columns[f"{kind}.std"],
        low_ac=columns[f"{kind}.low"],
        high_ac=columns[f"{kind}.high"],
        pixels_a=columns["pixels"],
    )
