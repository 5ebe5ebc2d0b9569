"""Which of Optuna's trials stands for a slot, over all that may have happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.trial import TrialState

from normgate.tune.slots import ERROR, SLOT, STOPPED, SURPLUS, settled, slots_of, stands

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DONE, FAIL = TrialState.COMPLETE, TrialState.FAIL
RUN, WAIT = TrialState.RUNNING, TrialState.WAITING


def trials(*told: tuple[TrialState, dict[str, Any]]) -> list[FrozenTrial]:
    found = []
    for number, (state, attributes) in enumerate(told):
        trial = optuna.create_trial(
            state=state,
            value=1.0 if state is DONE else None,
            user_attrs={SLOT: 0, **attributes},
        )
        trial.number = number
        found.append(trial)
    return found


@pytest.mark.parametrize(
    ("told", "state", "number", "kills"),
    [
        pytest.param([(WAIT, {})], "waiting", 0, 0, id="waiting"),
        pytest.param([(DONE, {})], "complete", 0, 0, id="complete"),
        pytest.param([(TrialState.PRUNED, {})], "pruned", 0, 0, id="pruned"),
        pytest.param([(FAIL, {ERROR: "no"})], "failed", 0, 0, id="failed-by-itself"),
        pytest.param([(FAIL, {})], "killed", 0, 1, id="killed-and-not-yet-retried"),
        pytest.param([(FAIL, {}), (WAIT, {})], "waiting", 1, 1, id="retry-waits"),
        pytest.param([(FAIL, {}), (DONE, {})], "complete", 1, 1, id="retry-done"),
        pytest.param([(FAIL, {})] * 4, "failed", 3, 4, id="kills-every-process"),
        pytest.param([(FAIL, {STOPPED: True})] * 5, "killed", 4, 0, id="stops-dont"),
        pytest.param([(DONE, {}), (WAIT, {})], "complete", 0, 0, id="duplicate"),
        pytest.param([(RUN, {}), (RUN, {})], "running", 0, 0, id="two-at-once"),
        pytest.param(
            [(FAIL, {SURPLUS: True}), (DONE, {})], "complete", 1, 0, id="surplus"
        ),
    ],
)
def test_one_trial_stands_for_a_slot(
    told: list[tuple[TrialState, dict[str, Any]]], state: str, number: int, kills: int
) -> None:
    found = trials(*told)
    (slot,) = slots_of(found)
    assert (slot.state, slot.trial.number, slot.kills) == (state, number, kills)
    assert settled([slot]) == (state in {"complete", "pruned", "failed"})
    assert [stands(trial, found) for trial in found] == [
        trial.number == number for trial in found
    ]


def test_a_trial_without_a_slot_stands_for_nothing() -> None:
    stray = optuna.create_trial(state=RUN)
    assert slots_of([stray]) == ()
    assert not stands(stray, [stray])
