"""A worker: takes one slot after the other until all are settled.

`work` is a plain function of a study, a family and a recorder. Several processes, here
or on other machines, share a study by calling it with the same storage.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import optuna
from optuna.trial import TrialState

from normgate.errors import Interrupted, NormgateError, Pruned
from normgate.tracker import NullTracker
from normgate.tune import slots
from normgate.tune.outcomes import kept
from normgate.tune.storage import fail_dead, give_sign, queue_again
from normgate.tune.watch import TrialWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from optuna import Study, Trial

    from normgate.engine.tunable import Outcome, Setting, Tunable
    from normgate.tracker import Tracker
    from normgate.tune.goal import Goal
    from normgate.tune.space import Space

_logger = logging.getLogger(__name__)
FAILURES_IN_A_ROW = 4
"""Trials that failed one after the other, with none before them that did not: there is
no use in trying the next one."""


class Recorder(Protocol):
    """Where each training is recorded."""

    def open(
        self, name: str, settings: Mapping[str, Setting]
    ) -> AbstractContextManager[Tracker]:
        """Open a training's record; what is raised in the block ends it as failed.

        Args:
            name: `trial 7`, or `trial 7 seed 2`.
            settings: A value for every weight and choice.
        """


class NullRecorder:
    """Records nothing."""

    @contextmanager
    def open(self, name: str, settings: Mapping[str, Setting]) -> Iterator[Tracker]:
        """A tracker that keeps nothing."""
        yield NullTracker()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all trials of a study share."""

    tunable: Tunable
    space: Space
    goal: Goal
    seed: int
    """Every trial's; what differs between trials is then their settings alone."""
    folder: Path
    """Each trial trains in a folder of its own below."""

    def trial_folder(self, slot: int) -> Path:
        """Where a trial's training lies."""
        return self.folder / f"trial-{slot:04d}"


class _NotCounted(Exception):  # noqa: N818
    """Tells `optimize` that a trial failed and that all is well."""


def work(
    study: Study,
    bench: Bench,
    recorder: Recorder,
    *,
    wanted: Callable[[], bool] = lambda: True,
    after: Callable[[], None] = lambda: None,
    poll_s: float = 1.0,
) -> None:
    """Run trials until no slot has anything left to do.

    Args:
        study: Shared with other workers.
        bench: The family and how it is judged.
        recorder: Told of each trial.
        wanted: Asked before each trial; a worker that is not wanted returns.
        after: Called after each trial.
        poll_s: Seconds between two looks while others run the last trials.

    Raises:
        NormgateError: Trials fail one after the other, with the last one's reason.
        Interrupted: As the signal handler raised it; the trial is queued again.
    """
    objective = _Objective(study, bench, recorder)
    while wanted():
        fail_dead(study)
        present = slots.slots_of(study.get_trials(deepcopy=False))
        _check_failures(present)
        if slots.settled(present):
            return
        _mend(study, present)
        if not any(slot.state == "waiting" for slot in present):
            time.sleep(poll_s)
            continue
        objective.run()
        after()


class _Objective:
    def __init__(self, study: Study, bench: Bench, recorder: Recorder) -> None:
        self._study, self._bench, self._recorder = study, bench, recorder

    def run(self) -> None:
        """Take one waiting trial and run it."""
        taken: list[Trial] = []

        def objective(trial: Trial) -> tuple[float, ...]:
            taken.append(trial)
            return self._values(trial)

        try:
            self._study.optimize(objective, n_trials=1, catch=(_NotCounted,))
        except (Interrupted, KeyboardInterrupt):
            _requeue(self._study, taken)
            raise

    def _values(self, trial: Trial) -> tuple[float, ...]:
        give_sign(self._study, trial)
        present = self._study.get_trials(deepcopy=False)
        if not slots.stands(present[trial.number], present):
            trial.set_user_attr(slots.SURPLUS, True)
            raise _NotCounted
        try:
            return self._tried(trial)
        except (Interrupted, KeyboardInterrupt):
            trial.set_user_attr(slots.STOPPED, True)
            raise
        except optuna.TrialPruned:
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            trial.set_user_attr(slots.ERROR, reason)
            if not isinstance(error, NormgateError):
                _logger.exception("trial %d", trial.user_attrs[slots.SLOT])
            raise _NotCounted(reason) from error

    def _tried(self, trial: Trial) -> tuple[float, ...]:
        bench, slot = self._bench, int(trial.user_attrs[slots.SLOT])
        settings = bench.space.suggested(trial)
        began = time.monotonic()
        with self._recorder.open(f"trial {slot}", settings) as tracker:
            watch = TrialWatch(trial, bench.goal, tracker)
            try:
                outcome = bench.tunable.trial(
                    settings, bench.seed, watch, bench.trial_folder(slot)
                )
                values = bench.goal.values(outcome.metrics)
            except Pruned as reason:
                tracker.tags({"normgate.trial_state": "pruned"})
                tracker.note(f"Trial {slot}: pruned. {reason}")
                given_up = optuna.TrialPruned(str(reason))
            else:
                self._keep(trial, tracker, outcome, time.monotonic() - began)
                return values
        raise given_up

    def _keep(
        self, trial: Trial, tracker: Tracker, outcome: Outcome, seconds: float
    ) -> None:
        """Tell study and tracker what a finished trial came to."""
        record = kept(outcome, self._bench.tunable.constraints, seconds)
        record.write(trial)
        tracker.metrics(record.shown, step=0)
        tracker.tags(
            {
                "normgate.trial_state": "complete",
                "normgate.feasible": str(record.feasible).lower(),
            }
        )


def _requeue(study: Study, taken: list[Trial]) -> None:
    for trial in taken:
        found = study.get_trials()[trial.number]
        if found.state is TrialState.FAIL:
            queue_again(study, found)


def _mend(study: Study, present: tuple[slots.Slot, ...]) -> None:
    """Queue what was killed and never queued again."""
    for slot in present:
        if slot.state == "killed":
            queue_again(study, study.get_trials()[slot.trial.number])


def _check_failures(present: tuple[slots.Slot, ...]) -> None:
    ended = [slot for slot in present if slot.state in slots.SETTLED]
    failed = [slot for slot in ended if slot.state == "failed"]
    if len(failed) == len(ended) >= FAILURES_IN_A_ROW:
        reason = failed[-1].trial.user_attrs.get(
            slots.ERROR, "its process was killed again and again"
        )
        raise NormgateError(
            f"all {len(failed)} trials so far failed, the last one because: {reason} "
            "Mend that and begin a new study"
        )
