"""The hierarchical bootstrap of mean well scores: wells, then units, then replicates.

Wells of a group are drawn with replacement, in each drawn well its units, and, once
for the whole experiment, the replicates: they are the same models everywhere. Wells
that only some replicates may score (cross-fitting) draw among those. Every draw comes
from a generator named after what it is for, so that no result depends on what else is
computed, or in which order.

Axes: b draws, w drawn wells, u units, r replicates.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from normgate.plates.well_score import well_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores

TAILS = (2.5, 97.5)
MIN_DEFINED = 0.9
"""Share of draws in which a statistic must exist for its interval to be given."""
_BLOCK = 4_000_000
"""Numbers drawn at once; bounds the memory."""


class Bootstrap:
    """Draws mean scores of groups of wells of one model.

    Args:
        scores: The model's scores.
        draws: How many to draw.
        seed: Every draw follows from it.
    """

    def __init__(self, scores: Scores, draws: int, seed: int) -> None:
        self.draws = draws
        self._scores = scores
        self._seed = seed
        self._used = ~np.isnan(scores.scores_ur)
        self._weights: dict[bytes, NDArray[np.float64]] = {}

    def means(self, wells: NDArray[np.int64], name: str) -> NDArray[np.float64]:
        """Draw the mean score of a group of wells.

        Args:
            wells: Positions of the wells in `scores.wells`, one or more, sorted.
            name: What the group is; names its random numbers.

        Returns:
            One mean for each draw (b,).
        """
        rng = generator(self._seed, self._scores.model, name)
        spans = [self._scores.of_well(int(well)) for well in wells]
        sizes = np.array([span.stop - span.start for span in spans])
        offsets = np.cumsum(sizes) - sizes
        chosen = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        widest = len(wells) * int(sizes.max())
        step = max(1, _BLOCK // max(widest, len(chosen)))
        found = [
            _resampled(
                self._unit_scores(chosen, slice(start, start + step)),
                sizes, offsets, rng, self._scores.how,
            )
            for start in range(0, self.draws, step)
        ]  # fmt: skip
        return np.concatenate(found)

    def _unit_scores(
        self, units: NDArray[np.int64], draws: slice
    ) -> NDArray[np.float64]:
        """Unit scores under each draw of replicates (b, u)."""
        values = np.nan_to_num(self._scores.scores_ur[units], nan=0.0)
        used = self._used[units]
        patterns, inverse = np.unique(used, axis=0, return_inverse=True)
        count = len(range(*draws.indices(self.draws)))
        out = np.empty((count, len(units)))
        for index, pattern in enumerate(patterns):
            mine = inverse.reshape(-1) == index
            weights_br = self._replicates(pattern)[draws]
            # Plain loops, not BLAS: the same bits whatever the number of threads.
            out[:, mine] = np.einsum("br,ur->bu", weights_br, values[mine])
        return out

    def _replicates(self, pattern: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Weights of the replicates in each draw (b, r); each row sums to one."""
        key = np.packbits(pattern).tobytes()
        if key not in self._weights:
            name = "replicates/" + "".join("01"[int(bit)] for bit in pattern)
            rng = generator(self._seed, self._scores.model, name)
            among = int(pattern.sum())
            weights = np.zeros((self.draws, len(pattern)))
            weights[:, pattern] = rng.multinomial(
                among, np.full(among, 1 / among), size=self.draws
            )
            self._weights[key] = weights / among
        return self._weights[key]


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for each name."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of draws; NaN of none, and where too many are undefined."""
    known = draws[np.isfinite(draws)]
    if not len(known) or len(known) < MIN_DEFINED * len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(known, TAILS)
    return float(low), float(high)


def _resampled(
    scores_bu: NDArray[np.float64],
    sizes: NDArray[np.int64],
    offsets: NDArray[np.int64],
    rng: np.random.Generator,
    how: str,
) -> NDArray[np.float64]:
    """Draw wells, and in each drawn well its units; give the mean well score (b,)."""
    draws = len(scores_bu)
    wells_bw = rng.integers(0, len(sizes), (draws, len(sizes)))
    sizes_bw = sizes[wells_bw]
    slots = np.arange(int(sizes.max()))
    part = rng.random((draws, len(sizes), len(slots)))
    units = offsets[wells_bw][..., None] + (part * sizes_bw[..., None]).astype(np.int64)
    drawn = np.take_along_axis(scores_bu, units.reshape(draws, -1), axis=1)
    scores_bw = well_scores(drawn.reshape(part.shape), sizes_bw, how)
    means: NDArray[np.float64] = scores_bw.mean(axis=1)
    return means
