"""Threads that work ahead of their consumer: in order, and never far ahead.

At most `ahead` results wait at any time, so memory does not grow with the number
of items, and a slow consumer slows the threads rather than filling memory.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    work: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int
) -> Generator[R, None, None]:
    """Yield `work(item)` in the order of the items, made by threads.

    Args:
        work: Called on `workers` threads at once; must be thread-safe.
        items: Consumed lazily.
        workers: Number of threads.
        ahead: Most results that are under way or waiting, at least `workers`.

    Raises:
        BaseException: What `work` raised, at the place of its item; closing the
            iterator cancels what has not begun and waits for what has.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="normgate-read")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= max(ahead, workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
