"""Sharing work out to threads, for kernels that release the interpreter lock."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Spread(Protocol):
    """Maps in order by workers that may be processes of other machines.

    What it is given is pickled, and a worker that dies does its items anew elsewhere.
    """

    def __call__(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], /
    ) -> Iterator[_Result]:
        """What the function gives for each item, in the order of the items."""


def shared_out(
    function: Callable[[_Item], _Result], items: list[_Item], threads: int
) -> list[_Result]:
    """Map with the calling thread and others; whoever is free takes the next item."""
    results: dict[int, _Result] = {}
    waiting = deque(enumerate(items))

    def work() -> None:
        while waiting:
            try:
                place, item = waiting.popleft()
            except IndexError:
                return
            results[place] = function(item)

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()
    return [results[place] for place in range(len(items))]


def streamed(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> Iterator[_Result]:
    """Map in order by threads; only a few results wait, so that memory stays small."""
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
