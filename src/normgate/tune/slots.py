"""Slots: the trials that were asked for, and which of Optuna's trials stands for each.

A study of 40 trials has 40 slots, each waiting as one of Optuna's trials from the
start. Workers take them one by one, and Optuna gives a waiting trial to one worker
only. Where a worker was killed, its trial fails without a reason of its own and another
one of the same slot waits: so a killed trial is run again and not counted, and two
trials of one slot never both count. Everything here is pure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optuna.trial import FrozenTrial

SLOT = "slot"
ERROR = "error"
"""Why a trial failed by itself; a killed one has none."""
STOPPED = "stopped"
"""A trial whose process was asked to stop: run again, and no blame on the trial."""
SURPLUS = "surplus"
"""A trial that came twice or beyond the slots, and was not run."""
MOST_KILLS = 3
"""Processes that one slot's trials may take down before it counts as failed."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the trials that were asked for."""

    number: int
    trial: FrozenTrial
    """The trial that stands for it: settled, running, waiting, or the last killed."""
    kills: int
    """Trials of it that ended with their process."""

    @property
    def state(self) -> str:
        """complete, pruned, failed, running, waiting; killed where a retry is due."""
        if self.trial.state is TrialState.FAIL and ERROR not in self.trial.user_attrs:
            return "failed" if self.kills > MOST_KILLS else "killed"
        return _STATES[self.trial.state]


_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
SETTLED = ("complete", "pruned", "failed")


def slots_of(trials: Iterable[FrozenTrial]) -> tuple[Slot, ...]:
    """Every slot of a study, by number."""
    of_slot: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if SLOT in trial.user_attrs and SURPLUS not in trial.user_attrs:
            of_slot.setdefault(int(trial.user_attrs[SLOT]), []).append(trial)
    return tuple(_slot(number, of_slot[number]) for number in sorted(of_slot))


def stands(trial: FrozenTrial, trials: Iterable[FrozenTrial]) -> bool:
    """Whether a trial that was taken is the one that stands for its slot."""
    if SLOT not in trial.user_attrs:
        return False
    number = int(trial.user_attrs[SLOT])
    return any(
        slot.number == number and slot.trial.number == trial.number
        for slot in slots_of(trials)
    )


def counts(slots: Iterable[Slot]) -> Counter[str]:
    """How many slots there are in each state."""
    return Counter(slot.state for slot in slots)


def settled(slots: Iterable[Slot]) -> bool:
    """Whether no slot has anything left to do."""
    return all(slot.state in SETTLED for slot in slots)


def _slot(number: int, trials: list[FrozenTrial]) -> Slot:
    killed = [trial for trial in trials if _killed(trial)]
    others = [trial for trial in trials if not _killed(trial)]
    # The first that was not killed: a later one of the same slot is a duplicate.
    standing = min(others, key=lambda trial: trial.number) if others else killed[-1]
    kills = sum(STOPPED not in trial.user_attrs for trial in killed)
    return Slot(number, standing, kills)


def _killed(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.FAIL and ERROR not in trial.user_attrs
