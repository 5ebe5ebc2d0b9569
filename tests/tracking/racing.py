"""Processes that act on one registry at the same moment, and what each was told.

Each has a store of its own, as servers, workers and people without a server have. They
are forked from a process that imported everything and opened nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import mlflow
import sqlalchemy as sa
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from sqlalchemy.orm import Session

from mlflow_normgate import store as stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from mlflow_normgate.store import GatedStore

PATIENCE_S = 60.0
"""A process that says nothing for so long waits for a lock that nobody gives back."""
JITTER_S = 0.02
"""Each round's processes begin within so short a time, never in the same order."""
ROOT = Path(__file__).resolve().parents[2]

Step = tuple[str, ...] | tuple[Any, ...]
"""An operation's name and what it is given."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told about one step."""

    step: str
    error: str | None
    """MLflow's error code; None where the step was done."""
    status: int
    """Of HTTP, as a server would answer."""
    message: str


class Racer:
    """One process with its own store."""

    def __init__(self) -> None:
        self._here, there = multiprocessing.Pipe()
        self._process = _forks().Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()

    def start(self, uri: str, steps: Sequence[Step], at: float) -> None:
        """Let it perform steps, one after the other, from a moment on."""
        self._here.send((uri, steps, at))

    def end(self) -> list[Told] | None:
        """What it was told; None if it was killed."""
        try:
            if not self._here.poll(PATIENCE_S):
                raise TimeoutError(f"no answer within {PATIENCE_S} s: a deadlock")
            told: list[Told] = self._here.recv()
        except EOFError:
            self._process.join()
            return None
        return told

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()
        self._here.close()


class Race:
    """Several processes, kept from round to round."""

    def __init__(self, uri: str, racers: Sequence[Racer], seed: int = 0) -> None:
        self.uri = uri
        self._racers = racers
        self._random = random.Random(seed)

    def run(self, *lanes: Sequence[Step]) -> list[list[Told]]:
        """Perform several lists of steps at once, and give what each was told."""
        begin = time.monotonic() + 0.005
        for racer, steps in zip(self._racers, lanes, strict=False):
            racer.start(self.uri, steps, begin + self._random.uniform(0, JITTER_S))
        told = []
        for racer, _ in zip(self._racers, lanes, strict=False):
            found = racer.end()
            assert found is not None, "a racer died"
            told.append(found)
        return told


@contextmanager
def racers(count: int) -> Iterator[list[Racer]]:
    """Processes, which are killed at the end."""
    found = [Racer() for _ in range(count)]
    try:
        yield found
    finally:
        for racer in found:
            racer.stop()


@cache
def _forks() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with patch.dict(os.environ, {"PYTHONPATH": path}):
        multiprocessing.forkserver.ensure_running()
    return context


def _serve(pipe: Connection) -> None:
    opened: dict[str, GatedStore] = {}
    while True:
        try:
            uri, steps, at = pipe.recv()
        except EOFError:
            return
        if uri not in opened:
            mlflow.set_tracking_uri(uri)
            opened[uri] = stores.build(uri)
        mlflow.set_tracking_uri(uri)
        time.sleep(max(0.0, at - time.monotonic()))
        pipe.send([_perform(opened[uri], step) for step in steps])


def _perform(store: GatedStore, step: Step) -> Told:
    name, *given = step
    try:
        STEPS[name](store, *given)
    except MlflowException as error:
        status = error.get_http_status_code()
        return Told(name, error.error_code, status, error.message)
    except Exception as error:  # What a server would answer with status 500.
        return Told(name, type(error).__name__, 500, str(error))
    return Told(name, None, 200, "")


def _register(store: GatedStore, name: str, source: str) -> None:
    store.create_model_version(name, source)


def _tag(store: GatedStore, name: str, version: str, value: str) -> None:
    store.set_model_version_tag(name, version, ModelVersionTag("mine", value))


def _tag_model(store: GatedStore, name: str, value: str) -> None:
    store.set_registered_model_tag(name, RegisteredModelTag("mine", value))


def _stage(
    store: GatedStore, name: str, version: str, stage: str, archive: bool = False
) -> None:
    store.transition_model_version_stage(name, version, stage, archive)


def _swap(_: GatedStore, path: str, content: bytes) -> None:
    Path(path).write_bytes(content)


def _mark(_: GatedStore, moment: str) -> None:
    """Let this process be killed in the middle of its next promotion.

    The moments are `verdict`, `alias` (before it is written), `commit` (before it) and
    `committed`.
    """
    wrote: set[str] = set()

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO normgate_promotions"):
            wrote.add("promotion")
        if statement.startswith("INSERT INTO normgate_verdicts") and (
            moment == "verdict"
        ):
            _die()

    def die(_: object) -> None:
        if wrote:
            _die()

    sa.event.listen(sa.Engine, "after_cursor_execute", seen)
    if moment == "alias":
        sa.event.listen(Session, "before_commit", die)
    elif moment == "commit":
        sa.event.listen(sa.Engine, "commit", die)
    elif moment == "committed":
        sa.event.listen(Session, "after_commit", die)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


STEPS = {
    "alias": lambda store, *given: store.set_registered_model_alias(*given),
    "unalias": lambda store, *given: store.delete_registered_model_alias(*given),
    "stage": _stage,
    "bind": lambda store, *given: store.bind_contract(*given, "for a race"),
    "create": lambda store, *given: store.create_registered_model(*given),
    "register": _register,
    "rename": lambda store, *given: store.rename_registered_model(*given),
    "delete": lambda store, *given: store.delete_registered_model(*given),
    "delete version": lambda store, *given: store.delete_model_version(*given),
    "describe": lambda store, *given: store.update_model_version(*given),
    "tag": _tag,
    "tag model": _tag_model,
    "resolve": lambda store, *given: store.get_model_version_by_alias(*given),
    "swap": _swap,
    "be killed": _mark,
}
