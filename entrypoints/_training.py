"""What every training does, whatever its family: one parent run, a child a replicate.

A finished child is skipped on a rerun and an unfinished one is resumed. Every run has
the same params, tags and data sets; the family adds its own words and pictures. A
model's replicates become one bundle, which is registered once.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from _training_record import begin, end, normalization, tags_of

from mlflow_normgate.bundles import log_bundle
from mlflow_normgate.datasets import file_digest
from mlflow_normgate.deployment import log_deployment, log_inputs
from mlflow_normgate.registry import CHAMPION, bind_contract, bound_contract, promote
from mlflow_normgate.runs import child_run
from normgate.contract import (
    read_contract,
    short_digest,
    write_atomic,
)
from normgate.engine.loop import fit_identity
from normgate.engine.member import train_member
from normgate.engine.record import spec_params, spec_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_normgate.registry import Promoted
    from mlflow_normgate.runs import Run
    from normgate.contract import Provenance, Spec
    from normgate.deploy import DeploySettings
    from normgate.engine.card import Card
    from normgate.engine.member import Member, Replicate
    from normgate.engine.settings import FitSettings
    from normgate.tracker import Scalar, Tracker

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One model's training, as its runs tell of it."""

    family: str
    preset: str
    model: str
    """The registered model."""
    data: Path
    """The table that it learns from."""
    spec: Spec
    provenance: Provenance | None
    applied_fingerprint: str
    out: Path
    """Where everything is written."""
    timepoint: str = "all"
    params: Mapping[str, Scalar] = field(default_factory=dict)
    """The family's own, flat."""
    quarantined: tuple[str, ...] = ()
    """A sentence for each picture that can't be used."""

    @property
    def figures(self) -> Path:
        """Where the pictures of the whole model go."""
        return self.out / "figures" / self.model


class Account(Protocol):
    """What a family tells of its trainings beside what all tell."""

    def pictures(self, tracker: Tracker, folder: Path, prefix: str = "") -> None:
        """Draw and log what the data look like, before the first step."""

    def results(self, tracker: Tracker, member: Member, folder: Path) -> None:
        """Draw and log what a replicate came to."""

    def words(self, member: Member) -> str:
        """What a replicate came to, in Markdown, without its vitals."""

    def line(self, member: Member) -> str:
        """The same in a line of the log."""


class Report(Protocol):
    """What a deployment did."""

    def metrics(self) -> Mapping[str, float]:
        """The numbers as a tracker takes them."""

    def sentence(self) -> str:
        """The whole in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One registered model."""

    name: str
    version: str
    card: Card


def replicates(
    parent: Run,
    training: Training,
    account: Account,
    fit: FitSettings,
    task_of: Callable[[int, FitSettings], Replicate],
    count: int,
) -> list[Member]:
    """Train every replicate, or find it trained; each next has the next seed."""
    found = []
    for number in range(count):
        settings = replace(fit, seed=fit.seed + number)
        task = task_of(number, settings)
        found.append(_replicate(parent, training, account, settings, task, number))
    return found


def _replicate(
    parent: Run,
    training: Training,
    account: Account,
    settings: FitSettings,
    task: Replicate,
    number: int,
) -> Member:
    identity = fit_identity(task, settings)
    folder = training.out / "train" / training.model / identity[:12]
    with child_run(parent, task.name, identity, tags_of(training, number)) as child:
        if not child.finished:
            begin(child.tracker, training, account, settings, folder)
        member = train_member(task, number, settings, child.tracker, folder)
        if not child.finished:
            end(child.tracker, training, account, member, folder)
    before = " (finished before)" if child.finished else ""
    _logger.info("%s%s: %s", task.name, before, account.line(member))
    return member


def record_model(parent: Run, training: Training, account: Account, card: Card) -> None:
    """A model's headline figures on the parent, where the UI shows them at once."""
    tracker, model = parent.tracker, training.model
    tracker.metrics({f"{model}.{key}": x for key, x in card.metrics.items()}, 0)
    tracker.params(spec_params(training.spec))
    tracker.tags(
        {
            "normgate.family": training.family,
            "normgate.spec_digest": card.spec_digest,
            "normgate.spec": short_digest(card.spec_digest),
        }
    )
    normalization(tracker, training, training.figures)
    account.pictures(tracker, training.figures, f"{model}_")


def close(parent: Run, table: str, spec: Spec, lines: Sequence[str]) -> None:
    """The closing words, in the parent's note and on the console."""
    listed = "\n".join(f"- {line}" for line in lines)
    parent.tracker.note(f"{table}\n\n{listed}\n\n{spec_table(spec)}")
    _logger.info("Done.")
    for line in lines:
        _logger.info("  %s", line)


def registered(parent: Run, folder: Path, name: str, card: Card) -> Trained:
    """Register a bundle; one that this registry has from here is not sent again."""
    note = folder.with_name(f"{name}.registered.json")
    where = {
        "tracking_uri": parent.place.tracking_uri,
        "manifest_digest": file_digest(folder / "manifest.json"),
    }
    if note.exists():
        known = json.loads(note.read_bytes())
        if where.items() <= known.items():
            return Trained(name=name, version=str(known["version"]), card=card)
    found = log_bundle(
        folder,
        run_id=parent.run_id,
        registered_name=name,
        tags={"normgate.preset": card.preset, "normgate.code": card.code_version},
    )
    record = {**where, "version": found.version, "model_id": found.model_id}
    write_atomic(note, (json.dumps(record, indent=2) + "\n").encode())
    return Trained(name=name, version=found.version, card=card)


def promoted(models: Sequence[Trained], contract: Path, preset: str) -> list[str]:
    """Bind models that are bound to none to a contract, and promote them.

    Returns:
        What was done, a sentence each.

    Raises:
        PromotionRefused: The gate refused a model, with every reason.
    """
    lines = []
    for model in models:
        if bound_contract(model.name) is None:
            reason = f"default of {preset}"
            bind_contract(model.name, read_contract(contract), reason)
        promote(model.name, model.version, CHAMPION)
        lines.append(f"{model.name} version {model.version}: promoted to {CHAMPION}")
        _logger.info("%s", lines[-1])
    return lines


def deployed(
    parent: Run,
    models: Sequence[Promoted],
    settings: DeploySettings,
    deploy: Callable[[Sequence[Promoted], DeploySettings], Report],
) -> str:
    """Deploy promoted models in a child run; what was done, in a sentence."""
    with child_run(parent, "deploy", settings.out.name) as child:
        report = deploy(models, settings)
        if not child.finished:
            log_inputs(child, models, settings.data)
            log_deployment(child, settings.out, report.metrics(), report.sentence())
    return f"{report.sentence()} ({settings.out})"


def job_name(models: Sequence[Promoted], data: Path) -> str:
    """A folder's name for promoted models on a table."""
    text = "".join(sorted(one.manifest_digest for one in models))
    return short_digest(hashlib.sha256(text.encode() + data.read_bytes()).hexdigest())
