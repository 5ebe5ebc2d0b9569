"""Work that streams through threads keeps its order and its bounds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from normgate.transform.threads import streamed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(streamed(lambda n: n * n, range(40), threads)) == [
        n * n for n in range(40)
    ]


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = streamed(lambda n: n, items(), 2)
    assert next(results) == 0
    assert len(taken) <= 4
    results.close()  # type: ignore[attr-defined]


def test_an_error_ends_the_stream_and_its_threads() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(streamed(lambda n: 1 // (n - 5), range(100), 3))
    assert threading.active_count() == before
