"""The workers of a study: in this process, or several that share it.

`work_on` is a plain function of a picklable job, so that any executor can start it. A
worker that was killed is replaced; its trial is found out by its missing heartbeat and
run again by whoever is free.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import optuna
from _tune_families import prepared
from _tune_record import Mirror

from mlflow_normgate.entry import configure_logging
from mlflow_normgate.runs import joined_run
from mlflow_normgate.stopping import stopping_on_signals
from normgate.errors import Interrupted, NormgateError
from normgate.tune.goal import goal_of
from normgate.tune.pins import pins_of
from normgate.tune.sampling import equip
from normgate.tune.slots import settled, slots_of
from normgate.tune.space import space_of
from normgate.tune.storage import open_study
from normgate.tune.worker import Bench, work

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from _tune_families import Prepared
    from _tune_options import TuneRequest
    from optuna import Study

    from mlflow_normgate.runs import Place
    from normgate.transform.threads import Spread
    from normgate.tune.storage import StudyPlace

_logger = logging.getLogger(__name__)
_POLL_S = 1.0
_MOST_REPLACED = 3
"""Workers that are replaced for each one that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker needs to know, wherever it runs."""

    request: TuneRequest
    study_place: StudyPlace
    folder: Path
    """Where trials train; the same for all workers."""
    place: Place
    parent_id: str
    """The study's run."""
    number: int
    """The worker's, from 0."""
    starter: int | None
    """The process that a worker ends with; None where it stands alone."""


def bench_of(ready: Prepared, request: TuneRequest, folder: Path) -> Bench:
    """What all trials share."""
    tunable = ready.tunable
    goal = goal_of(tunable, request.objectives, desirable=request.desirable)
    return Bench(
        tunable=tunable,
        space=space_of(tunable, ready.given, goal),
        goal=goal,
        seed=request.seed,
        folder=folder,
    )


def opened(bench: Bench, study_place: StudyPlace, *, fork: bool) -> Study:
    """A study under its pins."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pins = pins_of(bench.tunable, bench.space, bench.goal, bench.seed)
    return open_study(study_place, pins, bench.goal, fork=fork)


def work_on(job: Job) -> None:
    """Be one worker, in a process of its own.

    Raises:
        SystemExit: Code 2 on a user's error, 128 and the signal's number on a stop.
    """
    configure_logging()
    try:
        with stopping_on_signals():
            work_through(job)
    except Interrupted as stop:
        raise SystemExit(128 + stop.signal_number) from stop
    except NormgateError as error:
        click.echo(f"Error in worker {job.number}: {error}", err=True)
        raise SystemExit(2) from error


def work_through(job: Job) -> None:
    """Be one worker, in whatever process: prepare everything, and run trials."""
    request = job.request
    ready = prepared(request.family, request.training, request.out, request.seed)
    bench = bench_of(ready, request, job.folder)
    run(job, opened(bench, job.study_place, fork=False), bench)


def run(
    job: Job, study: Study, bench: Bench, after: Callable[[], None] = lambda: None
) -> None:
    """Run trials of an opened study until all are settled."""
    request = job.request
    equip(
        study,
        bench.goal,
        request.sampler,
        trials=request.trials,
        seed=request.seed,
        worker=job.number,
    )
    parent = joined_run(job.place, job.parent_id)
    mirror = Mirror(parent, bench, study.study_name)
    work(
        study,
        bench,
        mirror,
        wanted=lambda: job.starter is None or os.getppid() == job.starter,
        after=after,
    )


def run_all(jobs: list[Job], study: Study, look: Callable[[], None]) -> None:
    """Run several workers until the study is settled.

    Args:
        jobs: One for each.
        study: As this process holds it; it runs no trial.
        look: Called about once a second.

    Raises:
        NormgateError: A worker ended with an error, or too many were killed.
    """
    running = {job.number: _started(job) for job in jobs}
    replaced = 0
    try:
        while any(process.is_alive() for process in running.values()):
            time.sleep(_POLL_S)
            look()
            for number, process in list(running.items()):
                code = process.exitcode
                if not code:
                    continue
                if code > 0:
                    raise NormgateError(
                        f"worker {number} ended with code {code}; what it said stands "
                        "above. Mend that and run again: settled trials are kept"
                    )
                replaced += 1
                if replaced > _MOST_REPLACED * len(jobs):
                    raise NormgateError(
                        f"{replaced} workers were killed (the last by signal {-code}); "
                        "look for too little memory, then run again: settled trials "
                        "are kept"
                    )
                _logger.warning(
                    "worker %d was killed by signal %d; another one goes on",
                    number,
                    -code,
                )
                running[number] = _started(jobs[number])
    finally:
        _end(list(running.values()))
    _refuse_unsettled(study)


def run_spread(
    spread: Spread, jobs: list[Job], study: Study, look: Callable[[], None]
) -> None:
    """Run several workers on a cluster until the study is settled; see `run_all`."""
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: list(spread(work_through, jobs)))
        while not ended.done():
            time.sleep(_POLL_S)
            look()
        ended.result()
    _refuse_unsettled(study)


def _refuse_unsettled(study: Study) -> None:
    if not settled(slots_of(study.get_trials(deepcopy=False))):
        raise NormgateError("the workers ended before the study; run again to go on")


def _started(job: Job) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(
        target=work_on, args=(job,), name=f"normgate-worker-{job.number}", daemon=True
    )
    process.start()
    return process


def _end(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
    for process in processes:
        process.join(timeout=60)
