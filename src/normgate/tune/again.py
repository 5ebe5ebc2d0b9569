"""Settings trained again with fresh seeds, one after another; a rerun repeats none."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from normgate.contract import write_atomic
from normgate.tune.seeds import Again
from normgate.tune.watch import PlainWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from normgate.engine.tunable import Setting
    from normgate.tune.worker import Bench, Recorder

_logger = logging.getLogger(__name__)
_DONE = "outcome.json"


def train_again(
    bench: Bench,
    recorder: Recorder,
    named: Mapping[str, Mapping[str, Setting]],
    seeds: Sequence[int],
) -> tuple[Again, ...]:
    """Train each setting with each seed, and judge it on the validation split.

    Args:
        bench: The family and where trainings lie.
        recorder: Told of each training.
        named: Settings by name, as `preset` or `trial 7`.
        seeds: Fresh ones, the same for all.
    """
    return tuple(
        Again(
            name=name,
            settings=settings,
            metrics=tuple(
                _trained(bench, recorder, name, settings, seed) for seed in seeds
            ),
        )
        for name, settings in named.items()
    )


def again_folder(bench: Bench, name: str, seed: int) -> Path:
    """Where such a training lies."""
    return bench.folder / "again" / f"{name.replace(' ', '-')}-seed-{seed}"


def held_out(bench: Bench, one: Again, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Metrics on the test split, of each seed: looked at once, after the choice."""
    return [
        bench.tunable.held_out(one.settings, seed, again_folder(bench, one.name, seed))
        for seed in seeds
    ]


def _trained(
    bench: Bench,
    recorder: Recorder,
    name: str,
    settings: Mapping[str, Setting],
    seed: int,
) -> dict[str, float]:
    folder = again_folder(bench, name, seed)
    if (folder / _DONE).exists():
        done: dict[str, float] = json.loads((folder / _DONE).read_bytes())
        return done
    title = f"{name} seed {seed}"
    with recorder.open(title, settings) as tracker:
        outcome = bench.tunable.trial(settings, seed, PlainWatch(tracker), folder)
        bench.goal.values(outcome.metrics)
        tracker.metrics({**outcome.metrics, "weighted_loss": outcome.weighted_loss}, 0)
        tracker.tags({"normgate.trial_state": "complete"})
    write_atomic(folder / _DONE, json.dumps(dict(outcome.metrics)).encode())
    _logger.info("%s: done", title)
    return dict(outcome.metrics)
