"""One study from parameters to the closing words.

Check everything, refuse dead weights, run the trials, train the best again with fresh
seeds, look at the test split once, and say how a chosen trial is trained for good.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from _tune_again import choose
from _tune_families import prepared
from _tune_options import parse
from _tune_record import Headlines, record_begin, record_end
from _tune_work import Job, bench_of, opened, run, run_all, run_spread

from mlflow_normgate.entry import run_entry
from normgate.cluster.engine import opened as opened_engine
from normgate.tune.effects import effects, refuse_dead
from normgate.tune.goal import goal_of
from normgate.tune.slots import settled, slots_of
from normgate.tune.space import space_of
from normgate.tune.storage import StudyPlace, add_slots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _tune_families import Prepared
    from _tune_options import TuneRequest
    from optuna import Study

    from mlflow_normgate.runs import Run
    from normgate.engine.tunable import Searchable
    from normgate.tune.worker import Bench

_logger = logging.getLogger(__name__)
_RESUMED_BY = ("family", "study", "storage", "data", "preset", "out")
"""A rerun with more trials goes on in the same run, so `trials` is none of these."""


def tune(options: dict[str, Any], further: Sequence[str]) -> None:
    """Run a study, or go on with it."""
    shown = {**options, **({"further": " ".join(further)} if further else {})}
    identity = {name: options[name] for name in _RESUMED_BY}
    with run_entry("tune", shown, identity=identity) as parent:
        request = parse(options, further)
        ready = _prepared(request)
        name = request.study or ready.tunable.name
        root = request.out / "tune" / name
        bench = bench_of(ready, request, root)
        refuse_dead(effects(ready.tunable, bench.space))
        place = StudyPlace(
            name=name,
            url=request.storage or f"sqlite:///{(root / 'study.db').absolute()}",
            heartbeat_s=request.heartbeat_s,
        )
        study = opened(bench, place, fork=request.fork)
        if study.study_name != name:
            bench = bench_of(ready, request, root.with_name(study.study_name))
        place = StudyPlace(
            name=study.study_name, url=place.url, heartbeat_s=place.heartbeat_s
        )
        record_begin(parent, study, bench, ready)
        _run_trials(parent, request, place, study, bench)
        closing = choose(parent, request, study, bench, ready)
        path = record_end(parent, study, bench, closing)
        _logger.info("read %s; figures: %s", path, path.parent / "figures")
        _logger.info("look into the study with: optuna-dashboard %s", place.url)


def _prepared(request: TuneRequest) -> Prepared:
    def check(terms: Searchable, given: Mapping[str, str]) -> None:
        goal = goal_of(terms, request.objectives, desirable=request.desirable)
        space_of(terms, given, goal)

    return prepared(request.family, request.training, request.out, request.seed, check)


def _run_trials(
    parent: Run, request: TuneRequest, place: StudyPlace, study: Study, bench: Bench
) -> None:
    add_slots(study, request.trials, bench.space.first)
    headlines = Headlines(study, bench, parent.tracker)
    headlines.look()
    apart = request.workers > 1 and request.engine == "local"
    jobs = [
        Job(
            request=request,
            study_place=place,
            folder=bench.folder,
            place=parent.place,
            parent_id=parent.run_id,
            number=number,
            starter=os.getpid() if apart else None,
        )
        for number in range(request.workers)
    ]
    if settled(slots_of(study.get_trials(deepcopy=False))):
        _logger.info("every trial was run before")
    elif apart:
        run_all(jobs, study, headlines.look)
    else:
        with opened_engine(request.engine, request.ray_address) as spread:
            if spread is None:
                run(jobs[0], study, bench, headlines.look)
            else:
                run_spread(spread, jobs, study, headlines.look)
    headlines.look()
