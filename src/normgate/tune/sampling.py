"""Which sampler proposes the next trial, and which pruner gives one up."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, Literal, get_args

import optuna
from optuna.trial import TrialState

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from optuna import Study

    from normgate.tune.goal import Goal

Sampler = Literal["tpe", "nsga2", "random"]
MOST_STARTUP = 10
"""Trials at random before TPE has anything to go by, at most."""


def equip(
    study: Study, goal: Goal, sampler: str, *, trials: int, seed: int, worker: int
) -> None:
    """Give a study, as one worker holds it, its sampler and its pruner.

    Args:
        study: The worker's own handle of it.
        goal: Whether there is one objective.
        sampler: tpe, nsga2 or random.
        trials: Trials in all.
        seed: The study's.
        worker: The worker's number, so that two don't propose the same; a resumed
            study goes on with other proposals than it began with.
    """
    checked(sampler)
    trials_so_far = study.get_trials(deepcopy=False)
    begun = sum(one.state is not TrialState.WAITING for one in trials_so_far)
    own = _mixed(seed, worker, begun)
    startup = max(2, min(MOST_STARTUP, trials // 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match sampler:
            case "tpe":
                study.sampler = optuna.samplers.TPESampler(
                    seed=own, n_startup_trials=startup, multivariate=True
                )
            case "nsga2":
                study.sampler = optuna.samplers.NSGAIISampler(
                    seed=own, population_size=max(4, min(50, trials // 3))
                )
            case _:
                study.sampler = optuna.samplers.RandomSampler(seed=own)
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=1)
        if goal.single
        else optuna.pruners.NopPruner()
    )


def checked(sampler: str) -> str:
    """The sampler itself.

    Raises:
        SettingsError: It is none of ours.
    """
    if sampler not in get_args(Sampler):
        known = ", ".join(get_args(Sampler))
        raise SettingsError(f"sampler is {sampler!r}, expected one of {known}")
    return sampler


def _mixed(*parts: int) -> int:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")
