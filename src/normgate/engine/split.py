"""Which units train, validate and test each replicate: by split group, never by unit.

All replicates share one partition into folds. Replicate r tests fold r and validates
on fold r + 1 (both modulo the number of folds), so that together they hold out every
fold as often as possible.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Unit numbers of one replicate, each ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_of(fold: NDArray[np.int64], folds: int, replicate: int) -> Split:
    """The units of one replicate."""
    test, validation = replicate % folds, (replicate + 1) % folds
    return Split(
        train=np.flatnonzero((fold != test) & (fold != validation)),
        validation=np.flatnonzero(fold == validation),
        test=np.flatnonzero(fold == test),
    )


def group_folds(
    groups: NDArray[Any], *, folds: int, seed: int, what: str
) -> NDArray[np.int64]:
    """The fold of each unit: groups in random order, dealt out in turn.

    Args:
        groups: Split groups, (n,).
        folds: At least 3.
        seed: Decides the order.
        what: What a group is, as `patients`, for the refusal.

    Raises:
        DataError: There are fewer groups than folds.
    """
    names, of_unit = np.unique(groups, return_inverse=True)
    if len(names) < folds:
        raise DataError(
            f"there are {len(names)} split groups ({what}), but {folds} folds need one "
            f"each; give more {what}, or fewer folds (at least 3)"
        )
    fold = np.empty(len(names), dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(len(names))] = (
        np.arange(len(names)) % folds
    )
    return fold[of_unit]


def split_digest(units_digest: str, fold: NDArray[np.int64], folds: int) -> str:
    """SHA-256 over units and the fold of each: the data that trials share."""
    split = np.ascontiguousarray(fold, dtype="<i8").tobytes()
    return hashlib.sha256(f"{units_digest}\n{folds}\n".encode() + split).hexdigest()
