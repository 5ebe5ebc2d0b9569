"""A study in words: Markdown for the parent run's note, and for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normgate.tune.analysis import front
from normgate.tune.goal import desirability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.engine.tunable import Setting
    from normgate.tune.analysis import Correlation, Row
    from normgate.tune.goal import Goal
    from normgate.tune.seeds import Again, Difference
    from normgate.tune.space import Space

_SHOWN = 15
"""Trials of the table in a note; the file has all."""


def search_table(space: Space) -> str:
    """What is searched and what is fixed."""
    lines = ["| weight | from | to | scale | preset |", "|---|---|---|---|---|"]
    for one in space.weights:
        scale = "log" if one.log else "linear"
        lines.append(
            f"| {one.name} | {one.low:g} | {one.high:g} | {scale} | {one.default:g} |"
        )
    for choice in space.choices:
        options = ", ".join(choice.options)
        lines.append(f"| {choice.name} | {options} | | choice | {choice.default} |")
    for name, value in space.fixed.items():
        shown = setting_text(value)
        lines.append(f"| {name} | {shown} | {shown} | fixed | {shown} |")
    return "\n".join(lines)


def counts_sentence(rows: Sequence[Row]) -> str:
    """How the trials ended."""
    words = []
    for state in ("complete", "pruned", "failed", "running", "waiting", "killed"):
        count = sum(row.state == state for row in rows)
        if count:
            words.append(f"{count} {state}")
    kills = sum(row.kills for row in rows)
    again = f"; {kills} killed with their process and run again" if kills else ""
    infeasible = sum(row.kept is not None and not row.feasible for row in rows)
    red = f"; {infeasible} of the complete have red vitals" if infeasible else ""
    return f"{len(rows)} trials: {', '.join(words) or 'none'}{again}{red}."


def front_table(rows: Sequence[Row], space: Space, goal: Goal) -> str:
    """The front, or the best trials where there is one objective."""
    best = set(front(rows, goal.objectives))
    chosen = [row for row in rows if row.slot in best and row.kept is not None]
    chosen.sort(key=lambda row: -desirability(goal.objectives, row.kept.metrics))  # type: ignore[union-attr]
    metrics = [one.name for one in goal.objectives]
    head = ["trial", *space.names, *metrics, "desirability"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in chosen[:_SHOWN]:
        found = row.kept.metrics if row.kept else {}
        settings = [setting_text(row.params[name]) for name in space.names]
        cells = [str(row.slot), *settings]
        cells += [f"{found[name]:.4g}" for name in metrics]
        cells.append(f"{desirability(goal.objectives, found):.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences_table(differences: Sequence[Difference], title: str) -> str:
    """A candidate against the preset."""
    lines = [
        f"| objective | {title} | preset | seed SD | gain | judged |",
        "|---|---|---|---|---|---|",
    ]
    for one in differences:
        lines.append(
            f"| {one.objective} | {one.candidate:.4g} | {one.preset:.4g} | "
            f"{one.deviation:.2g} | {one.gain:+.3g} | **{one.judgement}** |"
        )
    return "\n".join(lines)


def held_out_table(held_out: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Metrics of the test split: by name of the setting, for each seed."""
    names = list(next(iter(held_out.values()))[0])
    lines = [f"| test split | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for title, seeds in held_out.items():
        cells = [_spread([one[name] for one in seeds]) for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def correlation_lines(found: Sequence[Correlation]) -> str:
    """The correlations as a list."""
    return "\n".join(
        f"- {one.of} and {one.to}: {one.rho:+.2f} (n = {one.trials})" for one in found
    )


def again_sentence(again: Sequence[Again]) -> str:
    """Who was trained again, and how often."""
    seeds = len(again[0].metrics) if again else 0
    names = ", ".join(one.name for one in again)
    return f"Trained again with {seeds} fresh seeds each: {names}."


def setting_text(value: Setting) -> str:
    """A setting as a table shows it: a number with four digits, or its word."""
    return value if isinstance(value, str) else f"{value:.4g}"


def _spread(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.4g}"
    square = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return f"{mean:.4g} +- {square**0.5:.2g}"
