"""What a replay logs: each child its figures and vitals, the parent the comparison."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from normgate.contract import write_atomic
from normgate.gate.vitals import LEVELS
from normgate.incidents.claims import judge_all, paragraph
from normgate.incidents.figure import arms_figure
from normgate.incidents.table import markdown, outcomes_csv, summary_csv

if TYPE_CHECKING:
    from pathlib import Path

    from normgate.incidents.outcome import Outcome
    from normgate.incidents.port import Incident
    from normgate.incidents.table import Table
    from normgate.tracker import Tracker


def record_tags(incident: Incident, arm: str, seed: int) -> dict[str, str]:
    """The marks of a child."""
    return {
        "normgate.family": incident.family,
        "normgate.incident": incident.name,
        "normgate.arm": arm,
        "normgate.seed": str(seed),
    }


def record_child(
    tracker: Tracker, incident: Incident, outcome: Outcome, folder: Path
) -> None:
    """The final figures, vitals and pictures of one arm under one seed."""
    tracker.metrics({**outcome.metrics, "cpu_s": outcome.cpu_s}, step=outcome.step)
    vitals = {f"vital.{vital.name}": vital.value for vital in outcome.vitals}
    tracker.metrics(vitals, step=outcome.step)
    if outcome.vitals:
        worst = max((vital.level for vital in outcome.vitals), key=LEVELS.index)
        tracker.tags({"normgate.vitals": worst})
    for name in outcome.pictures:
        tracker.artifact(folder / name)
    bad = [vital for vital in outcome.vitals if vital.level != "green"]
    lines = [f"- **{vital.level}** {vital.sentence}" for vital in bad]
    about = f"**{outcome.arm}**: {incident.arms[outcome.arm]}. Seed {outcome.seed}."
    tracker.note("\n\n".join((about, "\n".join(lines) or "All vitals are green.")))


def record_parent(
    tracker: Tracker, incident: Incident, table: Table, folder: Path
) -> list[str]:
    """Table, figure and verdicts, on the run that the UI shows first.

    Returns:
        What to tell at the end, a line each.
    """
    judged = judge_all(incident.claims, table)
    seeds = ", ".join(map(str, table.seeds))
    shown = markdown(table, incident.columns)
    arms = "\n".join(f"- {arm}: {incident.arms[arm]}" for arm in table.arms)
    note = (
        f"Incident **{incident.name}**, seeds {seeds}; mean ± standard deviation "
        f"between seeds.\n\n{shown}\n\n{paragraph(judged)}\n\n{arms}\n"
    )
    files = {
        "outcomes.csv": outcomes_csv(table),
        "summary.csv": summary_csv(table),
        "summary.md": note.encode(),
    }
    for name, data in files.items():
        write_atomic(folder / name, data)
    title = f"{incident.name}: every arm and seed (a dot), and the mean of each arm"
    pictures = [
        arms_figure(folder / "arms.png", title, table, incident.columns),
        *incident.figures(table, folder),
    ]
    for path in (*(folder / name for name in files), *pictures):
        tracker.artifact(path)
    for path in pictures:
        tracker.image(path, path.stem, step=0)
    tracker.metrics(_headlines(incident, table), step=0)
    tracker.tags({"normgate.family": incident.family})
    tracker.note(note)
    return [*(one.sentence for one in judged), f"table and figures: {folder}"]


def _headlines(incident: Incident, table: Table) -> dict[str, float]:
    """Mean of each shown figure of each arm: children are collapsed in the UI."""
    found = {
        f"{arm}.{column.metric}": table.spread(arm, column.metric).mean
        for arm in table.arms
        for column in incident.columns
    }
    return {key: value for key, value in found.items() if not math.isnan(value)}
