"""The choice: the best trials with fresh seeds, against the preset, then the test."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from _tune_record import Mirror

from normgate.tune import report
from normgate.tune.again import again_folder, held_out, train_again
from normgate.tune.analysis import rows_of, shortlist
from normgate.tune.goal import desirability
from normgate.tune.seeds import PRESET, Again, compared, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _tune_families import Prepared
    from _tune_options import TuneRequest
    from optuna import Study

    from mlflow_normgate.runs import Run
    from normgate.engine.tunable import Setting
    from normgate.tune.seeds import Difference
    from normgate.tune.worker import Bench

_logger = logging.getLogger(__name__)


def choose(
    parent: Run, request: TuneRequest, study: Study, bench: Bench, ready: Prepared
) -> list[str]:
    """Train the best again, judge them, and log their bundles.

    Returns:
        Parts of the report, in Markdown.
    """
    best = shortlist(rows_of(study), bench.goal.objectives, request.top + 1)
    preset = bench.space.preset
    named: dict[str, Mapping[str, Setting]] = {PRESET: preset}
    for row in best:
        settings = bench.space.complete(row.params)
        if settings != preset and len(named) <= request.top:
            named[f"trial {row.slot}"] = settings
    if len(named) == 1:
        reason = (
            "no trial but the preset's finished without red vitals"
            if request.top
            else "none was asked for"
        )
        return [f"No trial was trained again ({reason}), so no gain is claimed."]
    seeds = [request.seed + number for number in range(1, request.seeds + 1)]
    mirror = Mirror(parent, bench, study.study_name)
    again = train_again(bench, mirror, named, seeds)
    chosen = max(again[1:], key=lambda one: _merit(bench, one))
    judged = compared(chosen, again[0], again, bench.goal.objectives)
    _bundles(parent, bench, again[1:], seeds)
    return _told(parent, bench, ready, again, chosen, judged, seeds)


def _merit(bench: Bench, one: Again) -> float:
    objectives = bench.goal.objectives
    means = {objective.name: one.mean(objective.name) for objective in objectives}
    return desirability(objectives, means)


def _told(
    parent: Run,
    bench: Bench,
    ready: Prepared,
    again: Sequence[Again],
    chosen: Again,
    judged: Sequence[Difference],
    seeds: Sequence[int],
) -> list[str]:
    sentence = verdict(judged)
    for one in judged:
        parent.tracker.metrics(
            {
                f"gain.{one.objective}": one.gain,
                f"seed_sd.{one.objective}": one.deviation,
            },
            step=0,
        )
    tests = {
        name: held_out(bench, one, seeds)
        for name, one in ((chosen.name, chosen), (PRESET, again[0]))
    }
    for name, found in tests.items():
        prefix = "preset" if name == PRESET else "chosen"
        for key in found[0]:
            mean = sum(one[key] for one in found) / len(found)
            parent.tracker.metrics({f"test.{prefix}.{key}": mean}, step=0)
    parent.tracker.tags({"normgate.chosen": chosen.name, "normgate.verdict": sentence})
    command = ready.command(chosen.settings, len(seeds))
    _logger.info("%s: %s", chosen.name, sentence)
    _logger.info("train it for good with: %s", command)
    return [
        f"**{chosen.name}**: {sentence}",
        report.again_sentence(again),
        report.differences_table(judged, chosen.name),
        report.held_out_table(tests),
        f"Train {chosen.name} with {len(seeds)} seeds and register it:\n\n```\n"
        f"{command}\n```",
    ]


def _bundles(
    parent: Run, bench: Bench, best: Sequence[Again], seeds: Sequence[int]
) -> None:
    """Log the bundle of each of the best; its members are the fresh seeds."""
    for one in best:
        to = bench.folder / "bundles" / one.name.replace(" ", "-")
        shutil.rmtree(to, ignore_errors=True)
        trainings = [(seed, again_folder(bench, one.name, seed)) for seed in seeds]
        bench.tunable.bundle(one.settings, trainings, to)
        parent.tracker.artifact(to, "bundles")
