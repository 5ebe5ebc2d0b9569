"""Fitted replicates to one bundle: card, metrics, worst vitals; written once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.contract import spec_digest
from normgate.engine.bundle import read_card, write_bundle
from normgate.engine.card import Card
from normgate.engine.manifest import verify
from normgate.errors import BundleError
from normgate.gate.vitals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from normgate.contract import Provenance, Spec
    from normgate.engine.bundle import Family
    from normgate.engine.member import Member
    from normgate.engine.settings import FitSettings
    from normgate.gate import Vital


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a bundle records beside its members, whatever its family."""

    family: str
    preset: str
    spec: Spec
    provenance: Provenance | None
    applied_fingerprint: str
    geometry: Mapping[str, Any]
    """As the family's geometry writes itself."""
    settings: Mapping[str, Any]
    """The family's own: its model, its folds, what data it saw; plain JSON values."""
    classes: tuple[str, ...] = ()
    """As on the card."""
    positive: str = ""
    timepoint_ms: int | None = None


def assemble(
    folder: Path,
    family: Family,
    origin: Origin,
    members: Sequence[Member],
    fit_settings: FitSettings,
    metrics: Mapping[str, float],
    golden_raw: Tensor,
) -> Card:
    """Write the bundle of a model's replicates; one that is there already is kept.

    Args:
        folder: Where the bundle goes.
        family: What reads it.
        origin: What it records beside its members.
        members: The replicates, in their order.
        fit_settings: How they were fitted; each member tells its own seed.
        metrics: Headline figures.
        golden_raw: Raw input to keep with every member's outputs; no data of anyone.

    Returns:
        The card.
    """
    card = card_of(origin, members, fit_settings, metrics)
    present = _present(folder, card)
    if present is not None:
        return present
    write_bundle(
        folder,
        family=family,
        spec=origin.spec,
        provenance=origin.provenance,
        card=card,
        states=[member.state for member in members],
        golden_raw=golden_raw,
    )
    return card


def card_of(
    origin: Origin,
    members: Sequence[Member],
    fit_settings: FitSettings,
    metrics: Mapping[str, float],
) -> Card:
    """The card of a model's replicates; see `assemble`."""
    fitted = asdict(fit_settings)
    del fitted["seed"]
    settings = {
        **origin.settings,
        "fit": fitted,
        "members_digest": _members_digest(members),
        "torch": torch.__version__,
    }
    return Card(
        family=origin.family,
        preset=origin.preset,
        settings=settings,
        classes=origin.classes,
        positive=origin.positive,
        geometry=origin.geometry,
        timepoint_ms=origin.timepoint_ms,
        spec_digest=spec_digest(origin.spec),
        applied_fingerprint=origin.applied_fingerprint,
        members=tuple(member.card for member in members),
        metrics=metrics,
        vitals=tuple(vital.record() for vital in worst_vitals(members)),
        code_version=installed_version("normgate"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def mean_metrics(members: Sequence[Member], spread_of: str) -> dict[str, float]:
    """Mean of each metric over the members, and the spread of one (std, ddof 1)."""
    found = {
        name: float(np.mean([member.card.metrics[name] for member in members]))
        for name in members[0].card.metrics
    }
    values = [member.card.metrics[spread_of] for member in members]
    found[f"{spread_of}_std"] = float(np.std(values, ddof=1)) if values[1:] else 0.0
    return found


def worst_vitals(members: Sequence[Member]) -> tuple[Vital, ...]:
    """Of each vital the member's that is worst, the worst of all first."""
    found: dict[str, Vital] = {}
    for vital in (vital for member in members for vital in member.vitals):
        known = found.get(vital.name)
        if known is None or _rank(vital) > _rank(known):
            found[vital.name] = vital
    return tuple(sorted(found.values(), key=_rank, reverse=True))


def _rank(vital: Vital) -> int:
    return LEVELS.index(vital.level)


def _members_digest(members: Sequence[Member]) -> str:
    """SHA-256 over weights and records: the same members give the same bundle."""
    total = hashlib.sha256()
    for member in members:
        total.update(json.dumps(asdict(member.card), sort_keys=True).encode())
        for key in sorted(member.state):
            total.update(key.encode() + member.state[key].numpy().tobytes())
    return total.hexdigest()


def _present(folder: Path, card: Card) -> Card | None:
    """The card of the bundle in a folder, if it is whole and of these members."""
    try:
        verify(folder)
        found = read_card(folder)
    except (BundleError, OSError):
        return None
    return found if _undated(found) == _undated(card) else None


def _undated(card: Card) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(card.to_json())
    del document["created"]
    return document
