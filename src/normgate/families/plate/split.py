"""Which wells train, validate and test each replicate: by split group, never by crop.

All replicates share one partition into folds. Replicate r tests fold r and validates
on fold r + 1 (both modulo the number of folds), so that together they hold out every
fold as often as possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Unit numbers of one replicate, each ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def folds_of(
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    classes: Sequence[str],
    *,
    folds: int,
    seed: int,
) -> NDArray[np.int64]:
    """The fold of each unit, groups kept together and classes spread evenly.

    Args:
        labels: Class numbers, (n,).
        groups: Split groups, (n,).
        classes: Class names, for the refusal.
        folds: At least 3.
        seed: Decides which of the even partitions it is.

    Raises:
        DataError: A class has fewer groups than there are folds.
    """
    for index, name in enumerate(classes):
        found = len(np.unique(groups[labels == index]))
        if found < folds:
            raise DataError(
                f"class {name} has {found} split groups (wells), but {folds} folds "
                "need one each; give more wells of it, or fewer folds (at least 3)"
            )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.empty(len(labels), dtype=np.int64)
    rows = np.zeros((len(labels), 1))
    for number, (_, held_out) in enumerate(splitter.split(rows, labels, groups)):
        fold[held_out] = number
    return fold


def split_of(fold: NDArray[np.int64], folds: int, replicate: int) -> Split:
    """The units of one replicate."""
    test, validation = replicate % folds, (replicate + 1) % folds
    return Split(
        train=np.flatnonzero((fold != test) & (fold != validation)),
        validation=np.flatnonzero(fold == validation),
        test=np.flatnonzero(fold == test),
    )
