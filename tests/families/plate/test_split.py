"""Folds keep wells together and classes even; every replicate has three parts."""

from __future__ import annotations

import numpy as np
import pytest

from normgate.engine.split import split_of
from normgate.errors import DataError
from normgate.families.plate.split import folds_of

LABELS = np.repeat([0, 1], [60, 40])
GROUPS = np.array([f"P1:{number // 4:02d}" for number in range(100)])
CLASSES = ("WT", "APP")


def folds(seed: int = 0, count: int = 5) -> np.ndarray:
    return folds_of(LABELS, GROUPS, CLASSES, folds=count, seed=seed)


def test_a_group_is_in_one_fold_only() -> None:
    fold = folds()
    for name in np.unique(GROUPS):
        assert len(set(fold[name == GROUPS])) == 1


def test_every_fold_has_both_classes() -> None:
    fold = folds()
    for number in range(5):
        share = LABELS[fold == number].mean()
        assert 0.3 < share < 0.5


def test_five_replicates_test_every_unit_once() -> None:
    fold = folds()
    tested = np.concatenate([split_of(fold, 5, r).test for r in range(5)])
    assert sorted(tested) == list(range(100))
    for replicate in range(7):
        parts = split_of(fold, 5, replicate)
        joined = np.concatenate([parts.train, parts.validation, parts.test])
        assert sorted(joined) == list(range(100))


def test_the_seed_decides_the_partition() -> None:
    assert np.array_equal(folds(1), folds(1))
    assert not np.array_equal(folds(1), folds(2))


def test_too_few_wells_are_refused() -> None:
    with pytest.raises(DataError, match=r"APP has 10 split groups .* but 12 folds"):
        folds(count=12)
