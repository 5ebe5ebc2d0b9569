"""What a study shows in MLflow: a parent run, and a nested one for each training.

Nested runs are collapsed and not charted in the UI, so the parent carries the headline
figures of each trial, with the trial's number as the step.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlflow_normgate.datasets import log_table
from mlflow_normgate.runs import child_run
from normgate.contract import short_digest, write_atomic
from normgate.engine.progress import duration
from normgate.tune import analysis, report
from normgate.tune.analysis import front, rows_of
from normgate.tune.figures import write_figures
from normgate.tune.goal import desirability
from normgate.tune.slots import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from _tune_families import Prepared
    from optuna import Study

    from mlflow_normgate.runs import Run
    from normgate.engine.tunable import Setting
    from normgate.tracker import Tracker
    from normgate.tune.analysis import Row
    from normgate.tune.worker import Bench

_logger = logging.getLogger(__name__)


class Mirror:
    """Implements `normgate.tune.worker.Recorder` by runs below a parent.

    Args:
        parent: The study's run.
        bench: What all trials share.
        study: The study's name.
    """

    def __init__(self, parent: Run, bench: Bench, study: str) -> None:
        self._parent = parent
        self._bench = bench
        self._study = study
        self._where = str(bench.folder.absolute())

    @contextmanager
    def open(self, name: str, settings: Mapping[str, Setting]) -> Iterator[Tracker]:
        """Open a training's run, and record its settings."""
        tunable = self._bench.tunable
        key = f"{self._where}\n{self._study}\n{json.dumps(dict(settings))}"
        identity = hashlib.sha256(key.encode()).hexdigest()
        tags = {
            "normgate.family": tunable.family,
            "normgate.model": tunable.name,
            "normgate.study": self._study,
            "normgate.spec_digest": tunable.spec_digest,
            "normgate.spec": short_digest(tunable.spec_digest),
        }
        with child_run(self._parent, name, identity, tags) as child:
            child.tracker.params(dict(settings))
            yield child.tracker


class Headlines:
    """Figures of trials on the parent, each told once, and progress in the log."""

    def __init__(self, study: Study, bench: Bench, tracker: Tracker) -> None:
        self._study, self._bench, self._tracker = study, bench, tracker
        self._told: set[int] = set()
        self._begun: tuple[float, int] | None = None

    def look(self) -> None:
        """Tell what was settled since the last look."""
        rows = rows_of(self._study)
        ended = [row for row in rows if row.state in SETTLED]
        if self._begun is None:
            self._begun = (time.monotonic(), len(ended))
        fresh = [row for row in ended if row.slot not in self._told]
        for row in fresh:
            self._tell(row)
            self._told.add(row.slot)
        if fresh:
            _logger.info("%s", self._line(rows, ended))

    def _tell(self, row: Row) -> None:
        if row.kept is None:
            return
        metrics, objectives = row.kept.metrics, self._bench.goal.objectives
        values = {f"trial.{one.name}": metrics[one.name] for one in objectives}
        values["trial.desirability"] = desirability(objectives, metrics)
        values["trial.weighted_loss"] = row.kept.weighted_loss
        values |= {
            f"trial.weight.{one.name}": float(row.params[one.name])
            for one in self._bench.space.weights
        }
        self._tracker.metrics(values, step=row.slot)

    def _line(self, rows: Sequence[Row], ended: Sequence[Row]) -> str:
        began, before = self._begun or (time.monotonic(), 0)
        took, done = time.monotonic() - began, len(ended) - before
        left = (len(rows) - len(ended)) * took / done if done else 0.0
        rate = f", {60 * done / took:.1f} a minute" if done and took else ""
        ahead = f", {duration(left)} left" if done else ""
        best = analysis.shortlist(rows, self._bench.goal.objectives, 1)
        shown = ""
        if best and best[0].kept:
            values = [
                f"{one.name} {best[0].kept.metrics[one.name]:.4g}"
                for one in self._bench.goal.objectives
            ]
            shown = f"; best so far is trial {best[0].slot}: {', '.join(values)}"
        share = 100 * len(ended) / len(rows)
        return f"{len(ended)} of {len(rows)} trials ({share:.0f} %){rate}{ahead}{shown}"


def record_begin(parent: Run, study: Study, bench: Bench, ready: Prepared) -> None:
    """Space, goal and data, before the first trial."""
    tracker, tunable = parent.tracker, bench.tunable
    tracker.tags(
        {
            "normgate.family": tunable.family,
            "normgate.model": tunable.name,
            "normgate.study": study.study_name,
            "normgate.spec_digest": tunable.spec_digest,
            "normgate.spec": short_digest(tunable.spec_digest),
            "normgate.data_digest": tunable.data_digest,
        }
    )
    for one in bench.space.weights:
        scale = "log" if one.log else "linear"
        tracker.params({f"space.{one.name}": f"{one.low:g}:{one.high:g}:{scale}"})
    for choice in bench.space.choices:
        tracker.params({f"space.{choice.name}": ",".join(choice.options)})
    tracker.params({f"fixed.{name}": v for name, v in bench.space.fixed.items()})
    tracker.params({f"budget.{name}": v for name, v in tunable.budget.items()})
    tracker.params({"goal": ",".join(bench.goal.names)})
    if ready.data is not None:
        log_table(tracker, ready.data, "tuning")
    document = {"space": bench.space.document(), "goal": bench.goal.document()}
    path = bench.folder / "search_space.json"
    write_atomic(path, (json.dumps(document, indent=2) + "\n").encode())
    tracker.artifact(path)
    tracker.note(
        f"Study **{study.study_name}** of {tunable.family}, {tunable.name}.\n\n"
        f"{report.search_table(bench.space)}"
    )


def record_end(parent: Run, study: Study, bench: Bench, closing: Sequence[str]) -> Path:
    """Front, importances, table and words, once the trials are settled.

    Args:
        parent: The study's run.
        study: The study.
        bench: What all trials shared.
        closing: Parts of the report that come after the trials, in Markdown.

    Returns:
        The report's file.
    """
    rows, goal, space = rows_of(study), bench.goal, bench.space
    found = analysis.importances(study, goal)
    for path in write_figures(bench.folder / "figures", rows, space, goal, found):
        parent.tracker.artifact(path)
    csv = bench.folder / "trials.csv"
    table = analysis.table(rows, space, goal).to_csv(index=False)
    write_atomic(csv, table.encode())
    parent.tracker.artifact(csv)
    parent.tracker.metrics(_figures(rows, bench), step=0)
    parts = [
        f"Study **{study.study_name}** of {bench.tunable.family}, "
        f"{bench.tunable.name}. {report.counts_sentence(rows)}",
        *closing,
        f"Pareto front by {', '.join(one.name for one in goal.objectives)}:\n\n"
        + report.front_table(rows, space, goal),
        *_trust(rows, bench),
        report.search_table(space),
    ]
    text = "\n\n".join(parts)
    path = bench.folder / "report.md"
    write_atomic(path, (text + "\n").encode())
    parent.tracker.artifact(path)
    parent.tracker.note(text)
    return path


def _figures(rows: Sequence[Row], bench: Bench) -> dict[str, float]:
    states = [row.state for row in rows]
    objectives = bench.goal.objectives
    found: dict[str, float] = {
        f"trials.{state}": float(states.count(state)) for state in SETTLED
    }
    found["trials.killed_and_retried"] = float(sum(row.kills for row in rows))
    found["trials.front"] = float(len(front(rows, objectives)))
    for pair in analysis.correlations(rows, bench.space, objectives):
        found[f"spearman.{pair.of}.{pair.to}"] = pair.rho
    for one in objectives:
        values = [
            row.kept.metrics[one.name] for row in rows if row.feasible and row.kept
        ]
        if values:
            best = max(values) if one.larger_is_better else min(values)
            found[f"best.{one.name}"] = best
    return found


def _trust(rows: Sequence[Row], bench: Bench) -> list[str]:
    """What the loss would have said, as a part of the report."""
    found = analysis.correlations(rows, bench.space, bench.goal.objectives)
    if not found:
        return []
    return [
        "Spearman's rank correlations over the finished trials; quality is turned so "
        "that more is better, so that a loss one could tune by would have -1 against "
        f"it:\n\n{report.correlation_lines(found)}"
    ]
