"""What an analysis leaves behind: tables as CSV, a summary, figures, and a page.

Scores are in logit units; rescue is a fraction (0 diseased, 1 healthy), not percent.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from normgate.contract import short_digest
from normgate.contract.files import write_atomic
from normgate.plates.figures import safe_name, write_figures
from normgate.plates.result_page import NAME as PAGE
from normgate.plates.result_page import result_page
from normgate.plates.statistics import NOMINAL
from normgate.plates.undefined import undefined
from normgate.plates.well_score import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from normgate.plates.treatments import AggregateSettings, Analysis

FORMAT = "normgate.aggregate/1"
_TABLES = (
    "wells", "plates", "treatments", "plate_treatments", "concordance", "retrieval",
)  # fmt: skip
_SHOWN = 10


def write_report(
    analyses: Sequence[Analysis], settings: AggregateSettings, out: Path
) -> tuple[Path, ...]:
    """Write tables, summary and figures of all models.

    Args:
        analyses: One for each model.
        settings: What they were made with.
        out: The folder; made if missing.

    Returns:
        report.html; wells.csv, plates.csv, treatments.csv, plate_treatments.csv,
        concordance.csv and retrieval.csv; summary.json and summary.md; then the figures
        in `figures/<model>/`.
    """
    pictures = []
    for one in analyses:
        pictures += write_figures(one, out / "figures" / safe_name(one.scores.model))
    inside = {f"{p.parent.name}/{p.name}": p.read_bytes() for p in pictures}
    write_atomic(out / PAGE, result_page(analyses, inside).encode())
    files = [out / PAGE]
    for name, frame in tables(analyses).items():
        path = out / f"{name}.csv"
        write_atomic(path, frame.to_csv(index=False, lineterminator="\n").encode())
        files.append(path)
    document = json.dumps(summary(analyses, settings), indent=1, allow_nan=False)
    for name, text in (
        ("summary.json", document + "\n"),
        ("summary.md", markdown(analyses)),
    ):
        write_atomic(out / name, text.encode())
        files.append(out / name)
    return (*files, *pictures)


def tables(analyses: Sequence[Analysis]) -> dict[str, pd.DataFrame]:
    """All models' tables, one below the other, by name."""
    found = {}
    for name in _TABLES:
        each: list[pd.DataFrame] = [getattr(one, name) for one in analyses]
        filled = [frame for frame in each if len(frame)] or each[:1]
        found[name] = pd.concat(filled, ignore_index=True)
    return found


def headline(analyses: Iterable[Analysis]) -> dict[str, float]:
    """A model's figures in a few numbers, each a mean over plates; no NaN."""
    found: dict[str, float] = {}
    for one in analyses:
        model, plates = one.scores.model, one.plates
        values = {
            name: float(plates[name].mean())
            for name in ("auroc_wells", "auroc_units", "ssmd", "z_prime")
        }
        values["plates"] = len(plates)
        values["defined_plates"] = int(plates["rescue_defined"].sum())
        values["wells"] = len(one.wells)
        values["treatments"] = len(one.treatments)
        values["best_rescue"] = float(one.treatments["rescue"].max())
        found |= {f"{model}.{key}": v for key, v in values.items() if math.isfinite(v)}
    return found


def summary(
    analyses: Iterable[Analysis], settings: AggregateSettings
) -> dict[str, Any]:
    """Everything but the wells, as plain JSON values; NaN becomes null."""
    return {
        "format": FORMAT,
        "score": settings.score,
        "bootstrap": settings.bootstrap,
        "seed": settings.seed,
        "models": {
            one.scores.model: {
                "version": one.scores.version,
                "spec_digest": one.predictions.spec_digest,
                "manifest_digest": one.predictions.manifest_digest,
                "disease": one.scores.roles.disease,
                "healthy": one.scores.roles.healthy,
                "replicates": list(one.scores.replicates),
                "units": len(one.scores.units),
                "wells": len(one.wells),
                "plates": _records(one.plates),
                "treatments": _records(one.treatments),
                "concordance": _records(one.concordance),
                "retrieval": _records(one.retrieval),
                "undefined": [item._asdict() for item in undefined(one)],
            }
            for one in analyses
        },
    }


def markdown(analyses: Iterable[Analysis]) -> str:
    """A summary that a person reads, also as the description of a run."""
    parts = ["# Plates", ""]
    for one in analyses:
        parts += [*_model(one), ""]
    return "\n".join(parts)


def _model(one: Analysis) -> list[str]:
    roles, found = one.scores.roles, one.predictions
    lines = [
        f"## {one.scores.model} version {one.scores.version}",
        "",
        f"{len(one.wells)} wells, {len(one.scores.units)} units, "
        f"{len(one.scores.replicates)} replicates; spec "
        f"`{short_digest(found.spec_digest)}`, manifest "
        f"`{short_digest(found.manifest_digest)}`. A well's score is "
        f"{WORDS[one.scores.how]} of the logit of {roles.disease} minus that of "
        f"{roles.healthy}. Rescue is 0% at the mean of the "
        f"{roles.disease} controls of a plate and 100% at that of {roles.healthy}.",
        "",
        f"| plate | controls {roles.disease}, {roles.healthy} | AUROC wells | units "
        "| SSMD | Z' | rescue |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in one.plates.to_dict("records"):
        state = "; ".join(filter(None, ["defined", row["note"]]))
        lines.append(
            f"| {row['plate']} | {row['disease_wells']}, {row['healthy_wells']} | "
            f"{_number(row['auroc_wells'])} | {_number(row['auroc_units'])} | "
            f"{_number(row['ssmd'])} | {_number(row['z_prime'])} | "
            f"{state if row['rescue_defined'] else 'undefined: ' + row['reason']} |"
        )
    return [*lines, *_treatments(one)]


def _treatments(one: Analysis) -> list[str]:
    known = one.treatments[one.treatments["rescue"].notna()]
    if known.empty:
        return ["", "No treatment has a defined rescue."]
    mine = known[known["genotype"] == _diseased_genotype(one)]
    shown = (mine if len(mine) else known).head(_SHOWN)
    lines = [
        "",
        f"Highest {len(shown)} of {len(known)} treatments (an interval is "
        "under-covering, so too narrow, where control or treated wells are few):",
        "",
        "| treatment | on | rescue % | 95% interval | wells | plates |",
        "|---|---|---|---|---|---|",
    ]
    for row in shown.to_dict("records"):
        label = "" if row["interval"] == NOMINAL else " (under-covering)"
        lines.append(
            f"| {row['treatment'] or '(none)'} | {row['genotype']} | "
            f"{100 * row['rescue']:.0f} | {100 * row['low']:.0f} to "
            f"{100 * row['high']:.0f}{label} | {row['wells']} | "
            f"{row['defined_plates']} of {row['plates']} |"
        )
    return lines


def _diseased_genotype(one: Analysis) -> str:
    """The genotype of the diseased controls: what a treatment has to rescue."""
    found = one.wells["genotype"][one.wells["label"] == one.scores.roles.disease]
    return str(found.iloc[0]) if len(found) else ""


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
