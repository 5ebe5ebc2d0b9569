"""The folds of plate units: wells are never split, and classes spread evenly.

Which fold trains, validates and tests is `engine.split`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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
