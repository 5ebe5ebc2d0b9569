"""What every training logs of a replicate, whatever its family.

Two runs compare well in the MLflow UI only where all of them have the same params, tags
and data sets; a family's account adds its own words and pictures.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from mlflow_normgate.datasets import log_table
from normgate.contract import short_digest, spec_digest, to_json, write_atomic
from normgate.engine.record import flat_params, spec_params, spec_table, vital_lines
from normgate.gate.vitals import LEVELS

if TYPE_CHECKING:
    from pathlib import Path

    from _training import Account, Training

    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.tracker import Tracker


def tags_of(training: Training, replicate: int) -> dict[str, str]:
    """The marks of a child."""
    digest = spec_digest(training.spec)
    return {
        "normgate.family": training.family,
        "normgate.preset": training.preset,
        "normgate.model": training.model,
        "normgate.replicate": str(replicate),
        "normgate.timepoint_ms": training.timepoint,
        "normgate.spec_digest": digest,
        "normgate.spec": short_digest(digest),
        "normgate.applied_fingerprint": training.applied_fingerprint,
    }


def begin(
    tracker: Tracker,
    training: Training,
    account: Account,
    settings: FitSettings,
    folder: Path,
) -> None:
    """Settings, data and normalization, before the first step."""
    tracker.params(
        {
            **flat_params("fit", asdict(settings)),
            **spec_params(training.spec),
            **training.params,
            "quarantined": len(training.quarantined),
        }
    )
    log_table(tracker, training.data, "training")
    normalization(tracker, training, folder)
    account.pictures(tracker, folder)
    if training.quarantined:
        path = folder / "quarantine.txt"
        write_atomic(path, ("\n".join(training.quarantined) + "\n").encode())
        tracker.artifact(path, "data")
    tracker.note(f"{training.model}, training.\n\n{spec_table(training.spec)}")


def end(
    tracker: Tracker,
    training: Training,
    account: Account,
    member: Member,
    folder: Path,
) -> None:
    """Results, once a replicate is fitted."""
    epochs = len(member.history)
    tracker.metrics(member.card.metrics, step=epochs)
    vitals = {f"vital.{vital.name}": vital.value for vital in member.vitals}
    tracker.metrics(vitals, step=epochs)
    worst = max((vital.level for vital in member.vitals), key=LEVELS.index)
    tracker.tags({"normgate.vitals": worst})
    account.results(tracker, member, folder)
    tracker.note(
        f"**{training.model}**, replicate {member.card.replicate + 1}, seed "
        f"{member.card.seed}. {account.words(member)}\n\n"
        f"{vital_lines(member.vitals)}\n\n{spec_table(training.spec)}"
    )


def normalization(tracker: Tracker, training: Training, folder: Path) -> None:
    """Log the spec, and where its constants came from."""
    spec, origin = folder / "spec.json", folder / "provenance.json"
    write_atomic(spec, to_json(training.spec))
    tracker.artifact(spec, "normalization")
    if training.provenance is not None:
        write_atomic(origin, to_json(training.provenance))
        tracker.artifact(origin, "normalization")
