"""What the place on a plate does to a score: edge effect, rows and columns.

Classes often fill whole columns, so that a plain comparison of edge and interior would
find the classes. Wells are therefore compared only within their own class (controls of
one role, or treated wells of one genotype), and rows and columns are polished on
treated wells alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.plates.aggregate import TREATED
from normgate.plates.bootstrap import generator

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores

FORMATS = ((2, 3), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
"""Rows and columns of 6, 24, 48, 96, 384 and 1536 wells."""
MIN_EDGE = 4
"""Wells at the edge, and inside, that must be comparable."""
MIN_LINE = 3
"""Treated wells of a row or column below which it is not polished, and polished rows
and columns below which nothing is."""
_ROUNDS = 25
_SETTLED = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeEffect:
    """How much wells at a plate's edge differ from their own class inside."""

    difference: float
    """Mean score at the edge minus inside, in logit units; NaN where undefined."""
    p: float
    """Two-sided, by permutation within classes."""
    edge_wells: int
    reason: str
    """Why there is none; empty where there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polish:
    """Residuals of a plate's treated wells after median polish."""

    residuals: NDArray[np.float64]
    """One for each well of the model's wells; NaN elsewhere."""
    reason: str
    """Why there are none; empty where there are."""
    note: str = ""
    """What the polish takes out besides rows and columns."""


def plate_format(wells: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of the smallest usual plate that holds the wells."""
    rows, columns = int(wells["row"].max()), int(wells["column"].max())
    return next((r, c) for r, c in FORMATS if rows <= r and columns <= c)


def edge_effect(scores: Scores, plate: str, draws: int, seed: int) -> EdgeEffect:
    """Compare wells at the outermost rows and columns with their class inside.

    Args:
        scores: The model's scores.
        plate: Which plate.
        draws: Permutations of the edge within each class.
        seed: Every permutation follows from it.
    """
    wells = scores.wells[scores.wells["plate"] == plate]
    rows, columns = plate_format(wells)
    edge = (wells["row"].isin((1, rows)) | wells["column"].isin((1, columns))).to_numpy(
        dtype=np.bool_
    )
    values = wells["score"].to_numpy(dtype=np.float64)
    classes = _classes(wells)
    both = [own for own in classes if edge[own].any() and not edge[own].all()]
    used = np.concatenate(both) if both else np.empty(0, dtype=np.int64)
    at_edge = int(edge[used].sum())
    if min(at_edge, len(used) - at_edge) < MIN_EDGE:
        return EdgeEffect(
            difference=float("nan"),
            p=float("nan"),
            edge_wells=int(edge.sum()),
            reason=f"{at_edge} well(s) at the edge and {len(used) - at_edge} inside "
            f"can be compared within a class, expected at least {MIN_EDGE} of each",
        )
    found = _difference([values[own] for own in both], [edge[own] for own in both])
    rng = generator(seed, scores.model, f"{plate}/edge")
    more = sum(
        abs(
            _difference(
                [values[own] for own in both],
                [rng.permutation(edge[own]) for own in both],
            )
        )
        >= abs(found) - 1e-12
        for _ in range(draws)
    )
    return EdgeEffect(
        difference=found, p=(more + 1) / (draws + 1), edge_wells=at_edge, reason=""
    )


def polished(scores: Scores, plate: str) -> Polish:
    """Take the effects of rows and columns out of a plate's treated wells.

    Tukey's median polish: residuals keep what a well has of its own. Genotypes are
    centred first, as they often fill whole columns.
    """
    wells = scores.wells
    out = np.full(len(wells), np.nan)
    mine = ((wells["plate"] == plate) & (wells["role"] == TREATED)).to_numpy()
    own = wells[mine]
    rows, columns = own["row"].to_numpy(), own["column"].to_numpy()
    kept = _lines(rows, columns)
    lines = (len(set(rows[kept])), len(set(columns[kept])))
    if min(lines) < MIN_LINE:
        reason = (
            f"{int(mine.sum())} treated wells fill {lines[0]} rows and {lines[1]} "
            f"columns with at least {MIN_LINE} wells each, expected {MIN_LINE} of both"
        )
        return Polish(residuals=out, reason=reason)
    values = own["score"] - own.groupby("genotype")["score"].transform("median")
    grid = np.full((rows.max() + 1, columns.max() + 1), np.nan)
    grid[rows[kept], columns[kept]] = values.to_numpy(dtype=np.float64)[kept]
    grid = median_polish(grid)
    residuals = np.full(len(own), np.nan)
    residuals[kept] = grid[rows[kept], columns[kept]]
    out[mine] = residuals
    return Polish(residuals=out, reason="", note=_confounded(own[kept]))


def median_polish(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residuals of a table after its row and column medians are swept out in turns.

    Args:
        grid: Rows and columns; NaN where there is nothing.
    """
    left = grid.copy()
    for _ in range(_ROUNDS):
        moved = 0.0
        for axis in (1, 0):
            known = ~np.isnan(left).all(axis=axis)
            middle = np.zeros(known.shape)
            middle[known] = np.nanmedian(np.compress(known, left, 1 - axis), axis=axis)
            left -= np.expand_dims(middle, axis)
            moved = max(moved, float(np.abs(middle).max()))
        if moved < _SETTLED:
            break
    return left


def _confounded(wells: pd.DataFrame) -> str:
    """Say where rows or columns hold one treatment each: polish takes it out too."""
    names = wells["genotype"].astype(str) + "\0" + wells["treatment"].astype(str)
    found = []
    for line in ("row", "column"):
        alone = names.groupby(wells[line]).nunique() == 1
        if alone.any():
            found.append(f"{int(alone.sum())} of {len(alone)} {line}s")
    if not found:
        return ""
    return (
        f"{' and '.join(found)} hold one treatment each, whose effect the polish takes "
        "out with the line's"
    )


def _classes(wells: pd.DataFrame) -> list[NDArray[np.int64]]:
    names = ["role", "genotype"]
    found = wells.reset_index(drop=True).groupby(names, sort=True).indices
    return [np.asarray(own, dtype=np.int64) for own in found.values()]


def _difference(
    values: list[NDArray[np.float64]], edge: list[NDArray[np.bool_]]
) -> float:
    """Edge minus inside within each class, weighted by what each can tell."""
    total = weights = 0.0
    for own, at_edge in zip(values, edge, strict=True):
        n, m = int(at_edge.sum()), int((~at_edge).sum())
        weight = n * m / (n + m)
        total += weight * (float(own[at_edge].mean()) - float(own[~at_edge].mean()))
        weights += weight
    return total / weights


def _lines(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Wells whose row and column each keep enough wells."""
    kept = np.ones(len(rows), dtype=np.bool_)
    while kept.any():
        before = int(kept.sum())
        for line in (rows, columns):
            counts = np.bincount(line[kept], minlength=int(line.max()) + 1)
            kept &= counts[line] >= MIN_LINE
        if int(kept.sum()) == before:
            break
    return kept
