"""Fitted replicates to one bundle: card, metrics, worst vitals, golden counts."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from normgate.contract import ClampAffine, normal_form, spec_digest
from normgate.engine.bundle import read_card, write_bundle
from normgate.engine.card import Card
from normgate.engine.ensemble import softmax
from normgate.engine.manifest import verify
from normgate.errors import BundleError
from normgate.families.plate.bundled import PlateBundles
from normgate.families.plate.metrics import scores
from normgate.gate.vitals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.contract import Channel, Provenance, Spec
    from normgate.engine.settings import FitSettings
    from normgate.families.plate.member import Member, Plan
    from normgate.families.plate.settings import Preset
    from normgate.gate import Vital
    from normgate.plates.geometry import Geometry

FAMILY = "plate"
GOLDEN_UNITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the bundle records beside its members."""

    preset: Preset
    geometry: Geometry
    timepoint_ms: int | None
    applied_fingerprint: str
    provenance: Provenance | None
    data_digest: str
    """SHA-256 of the plate CSV."""


def assemble(
    folder: Path,
    plan: Plan,
    members: Sequence[Member],
    fit_settings: FitSettings,
    origin: Origin,
) -> Card:
    """Write the bundle of a model's replicates; one that is there already is kept.

    Args:
        folder: Where the bundle goes.
        plan: What the replicates share.
        members: The replicates, in their order.
        fit_settings: How they were fitted; each member tells its own seed.
        origin: Everything else that the card says.

    Returns:
        The card.
    """
    card = _card(plan, members, fit_settings, origin)
    present = _present(folder, card)
    if present is not None:
        return present
    size = origin.geometry.window or origin.geometry.size
    write_bundle(
        folder,
        family=PlateBundles(),
        spec=plan.spec,
        provenance=origin.provenance,
        card=card,
        states=[member.state for member in members],
        golden_raw=golden_counts(plan.spec, size),
    )
    return card


def golden_counts(spec: Spec, size: int) -> torch.Tensor:
    """Raw counts (4, c, size, size) that fill each channel's range; no data of anyone.

    They are uint16 unless a channel takes int16, as the model's signature says.
    """
    rng = np.random.default_rng(0)
    planes = [_golden_plane(channel, size, rng) for channel in spec.channels]
    wide = np.stack(planes, axis=1)
    signed = any(channel.input == "int16" for channel in spec.channels)
    return torch.from_numpy(wide.astype(np.int16 if signed else np.uint16))


def ensemble_scores(plan: Plan, members: Sequence[Member]) -> dict[str, float]:
    """Metrics of the ensemble, each unit scored by the replicates that tested it."""
    total = np.zeros((len(plan.units.labels), len(plan.classes)))
    seen = np.zeros(len(total))
    for member in members:
        total[member.test_at] += member.test_logits / member.card.temperature
        seen[member.test_at] += 1
    at = np.flatnonzero(seen)
    mean = total[at] / seen[at, None]
    labels, groups = plan.units.labels[at], plan.units.groups[at]
    return scores(mean, labels, groups, plan.classes)


def held_out(
    plan: Plan, members: Sequence[Member]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and positive probability of every test unit of every replicate."""
    truth = [plan.units.labels[m.test_at] == len(plan.classes) - 1 for m in members]
    tempered = [m.test_logits.astype(float) / m.card.temperature for m in members]
    p = [softmax(logits)[:, -1] for logits in tempered]
    return np.concatenate(truth), np.concatenate(p)


def _card(
    plan: Plan, members: Sequence[Member], fit_settings: FitSettings, origin: Origin
) -> Card:
    fitted = asdict(fit_settings)
    del fitted["seed"]
    settings: dict[str, Any] = {
        "model": asdict(plan.model),
        "fit": fitted,
        "folds": plan.folds,
        "augmentation": "D4",
        "data_digest": origin.data_digest,
        "members_digest": _members_digest(members),
        "quarantined": len(plan.units.quarantined),
        "torch": torch.__version__,
    }
    return Card(
        family=FAMILY,
        preset=origin.preset.name,
        settings=settings,
        classes=plan.classes,
        positive=plan.classes[-1],
        geometry=origin.geometry.to_json(),
        timepoint_ms=origin.timepoint_ms,
        spec_digest=spec_digest(plan.spec),
        applied_fingerprint=origin.applied_fingerprint,
        members=tuple(member.card for member in members),
        metrics=headline(plan, members),
        vitals=tuple(vital.record() for vital in worst_vitals(members)),
        code_version=installed_version("normgate"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def headline(plan: Plan, members: Sequence[Member]) -> dict[str, float]:
    """Mean of each metric over the members, the spread of AUROC, and the ensemble's."""
    names = members[0].card.metrics
    found = {
        name: float(np.mean([member.card.metrics[name] for member in members]))
        for name in names
    }
    aurocs = [member.card.metrics["test_auroc"] for member in members]
    found["test_auroc_std"] = float(np.std(aurocs, ddof=1)) if aurocs[1:] else 0.0
    together = ensemble_scores(plan, members)
    found |= {
        f"ensemble_{key}": together[key]
        for key in ("auroc", "well_auroc", "accuracy", "nll", "ece")
    }
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
    dated = {key: value for key, value in asdict(found).items() if key != "created"}
    fresh = {key: value for key, value in asdict(card).items() if key != "created"}
    return found if _plain(dated) == _plain(fresh) else None


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _golden_plane(
    channel: Channel, size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Counts over the clip's range and a little beyond, within the input type."""
    operations = normal_form(channel).operations
    first = operations[0] if operations else ClampAffine()
    low, high = (0, 255) if channel.input == "uint8" else (0, 16383)
    if isinstance(first, ClampAffine):
        low = low if first.low is None else max(low, math.floor(first.low * 9 / 10))
        high = (
            high if first.high is None else min(high, math.ceil(first.high * 11 / 10))
        )
    shape = (GOLDEN_UNITS, size, size)
    return rng.integers(low, max(high, low + 1), size=shape, endpoint=True)
