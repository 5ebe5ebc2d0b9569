"""Reading ahead keeps the order, the bound and the first error."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from normgate.deploy.readahead import read_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    found = list(read_ahead(work, range(20), workers=4, ahead=6))
    assert found == [item * item for item in range(20)]


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_no_more_than_ahead_items_are_begun_beyond_the_consumer(ahead: int) -> None:
    begun, lock, farthest = 0, threading.Lock(), 0

    def work(item: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return item

    for done, _ in enumerate(read_ahead(work, range(50), workers=2, ahead=ahead)):
        with lock:
            farthest = max(farthest, begun - done)
    assert begun == 50
    assert farthest <= max(ahead, 2)


def test_an_error_comes_at_its_item_and_ends_the_threads() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("third")
        return item

    before = threading.active_count()
    found = []
    with pytest.raises(ValueError, match="third"):
        found.extend(read_ahead(work, range(100), workers=2, ahead=4))
    assert threading.active_count() == before


def test_closing_early_leaves_the_rest_undone() -> None:
    begun = []
    with closing(read_ahead(begun.append, range(1000), workers=2, ahead=4)) as results:
        next(results)
    assert len(begun) < 10


def test_nothing_in_gives_nothing_out() -> None:
    assert list(read_ahead(str, [], workers=2, ahead=4)) == []
