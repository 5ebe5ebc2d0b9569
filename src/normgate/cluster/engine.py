"""Which engine does the work: this process with its threads, or Ray's actors.

An actor keeps what a function has prepared, such as models, and is given one item after
the other. Results come back in the order of the items and only a few wait, so that
whoever writes them does what it does without Ray. One core is left to whatever feeds
the actors. docs/adr/0007 says why these are plain actors.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from normgate.errors import NormgateError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from normgate.transform.threads import Spread

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_logger = logging.getLogger(__name__)
ENGINES = ("local", "ray")
MOST_DEATHS = 3
"""Times that an item is done anew after the death of its actor."""
IN_FLIGHT = 2
"""Items that an actor has at once: the one in work, and the next."""
KNOCK_S = 5.0
"""How long an address may take to answer."""
AHEAD = 4
"""Items under way or waiting for their turn, for each actor."""


@contextmanager
def opened(
    engine: str, address: str = "", *, gpu: bool = False, cpus: int | None = None
) -> Iterator[Spread | None]:
    """What spreads work, for as long as the block lasts; None for this process alone.

    Args:
        engine: `local` or `ray`.
        address: Of a running Ray cluster, `ray://host:10001` or `host:6379`; empty to
            start one on this machine that ends with the block.
        gpu: Whether each worker needs a GPU of its own.
        cpus: Cores of a cluster that is started here; None for all.

    Raises:
        SettingsError: There is no such engine, Ray is not installed, or there is no
            cluster at the address, or none that has what is needed.
    """
    if checked(engine, address) == "local":
        yield None
        return
    ray = _connected(address, cpus)
    try:
        kind = "GPU" if gpu else "CPU"
        found = int(ray.cluster_resources().get(kind, 0))
        if not found:
            raise SettingsError(
                f"the Ray cluster has no {kind}; give device=cpu, or another address"
            )
        workers = found if gpu else max(1, found - 1)
        _logger.info("Ray: %d workers on %d %ss", workers, found, kind)
        yield _Rays(ray, workers, gpu)
    finally:
        ray.shutdown()


def checked(engine: str, address: str) -> str:
    """The engine itself.

    Raises:
        SettingsError: There is no such engine, or it takes no address.
    """
    if engine not in ENGINES:
        raise SettingsError(f"engine is {engine!r}, expected {' or '.join(ENGINES)}")
    if address and engine == "local":
        raise SettingsError(
            f"ray_address is {address!r}, but the engine is local; add engine=ray"
        )
    return engine


class _Rays:
    """Spreads items over Ray's actors."""

    def __init__(self, ray: Any, workers: int, gpu: bool) -> None:
        self._ray = ray
        self._workers = workers
        self._gpu = gpu

    def __call__(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], /
    ) -> Iterator[_Result]:
        """See `Spread`.

        Raises:
            NormgateError: What the function raised; or workers died again and again.
        """
        ray = self._ray
        prepared = ray.put(ray.cloudpickle.dumps(function))
        actor = ray.remote(_Actor).options(
            num_cpus=1,
            num_gpus=1 if self._gpu else 0,
            max_restarts=-1,
            max_task_retries=MOST_DEATHS,
        )
        actors = [actor.remote() for _ in range(self._workers)]
        free = deque(actors * IN_FLIGHT)
        running: dict[Any, Any] = {}
        waiting: deque[Any] = deque()
        try:
            for item in items:
                if not free:
                    (ended, *_), _ = ray.wait(list(running))
                    free.append(running.pop(ended))
                taken = free.popleft()
                ref = taken.run.remote(prepared, ray.cloudpickle.dumps(item))
                running[ref] = taken
                waiting.append(ref)
                if len(waiting) >= AHEAD * len(actors):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for one in actors:
                ray.kill(one)

    def _result(self, ref: Any) -> Any:
        try:
            error, result = pickle.loads(self._ray.get(ref))
        except self._ray.exceptions.RayError as failure:
            raise NormgateError(
                f"Ray gave up: {_reason(failure)}. What was finished is kept; mend "
                "that and run again to go on"
            ) from failure
        if error is not None:
            raise error
        return result


class _Actor:
    """One of Ray's workers: keeps a function, and what it has prepared."""

    def __init__(self) -> None:
        self._function: Callable[[Any], Any] | None = None

    def run(self, function: bytes, item: bytes) -> bytes:
        """An error of the user's and a result, pickled; one of them is None."""
        from ray import cloudpickle

        if self._function is None:
            self._function = pickle.loads(function)
        error: NormgateError | None = None
        result: Any = None
        try:
            result = self._function(pickle.loads(item))
        except NormgateError as reason:
            error = reason
        outcome: bytes = cloudpickle.dumps((error, result))
        return outcome


def _connected(address: str, cpus: int | None) -> Any:
    """Ray itself, with a cluster at hand."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "engine=ray needs Ray; install normgate[ray], or leave engine=local"
        ) from error
    if address:
        _refuse_silence(address)
    try:
        _begin(ray, address, cpus)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"Ray can't be used at {address or 'this machine'}: {_reason(error)}; "
            "set RAY_AUTH_MODE=token if the cluster asks for one, give another "
            "address, or engine=local"
        ) from error
    return ray


def _begin(ray: Any, address: str, cpus: int | None, tries: int = 2) -> None:
    """Join a cluster, or start one, which on a busy machine may fail at first."""
    try:
        ray.init(
            address=address or "local",
            num_cpus=None if address else cpus,
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
        )
    except RuntimeError:
        ray.shutdown()
        if address or tries == 1:
            raise
        _begin(ray, address, cpus, tries - 1)


def _refuse_silence(address: str) -> None:
    """Knock at an address: Ray itself would try for minutes.

    Raises:
        SettingsError: Nobody answers there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SettingsError(
            f"there is no Ray cluster at {address} ({error}); give host:port of a "
            "running one, or leave ray_address empty to start one here"
        ) from error


def _reason(error: BaseException) -> str:
    """What went wrong, in a line; of a failed function, its own error."""
    found = getattr(error, "cause", None) or error
    text = str(found).strip() or type(found).__name__
    return f"{type(found).__name__}: {text.splitlines()[0][:300]}"
