"""What a bundle says of plate replicates: its card's own part, golden counts."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.contract import ClampAffine, normal_form
from normgate.engine.assemble import Origin, mean_metrics
from normgate.families.plate.metrics import scores
from normgate.families.plate.probabilities import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.contract import Channel, Provenance, Spec
    from normgate.engine.member import Member
    from normgate.families.plate.plan import Plan
    from normgate.families.plate.settings import Preset
    from normgate.plates.geometry import Geometry

FAMILY = "plate"
GOLDEN_UNITS = 4


def origin_of(
    plan: Plan,
    *,
    preset: Preset,
    geometry: Geometry,
    timepoint_ms: int | None,
    applied_fingerprint: str,
    provenance: Provenance | None,
    data_digest: str,
) -> Origin:
    """What the bundle records beside its members.

    Args:
        plan: What the replicates share.
        preset: What the plates were asked.
        geometry: How sites became units.
        timepoint_ms: Of channels whose names tell none.
        applied_fingerprint: As measured on the training's own files.
        provenance: Where the spec's constants came from.
        data_digest: SHA-256 of the plate CSV.
    """
    return Origin(
        family=FAMILY,
        preset=preset.name,
        spec=plan.spec,
        provenance=provenance,
        applied_fingerprint=applied_fingerprint,
        geometry=geometry.to_json(),
        settings={
            "model": asdict(plan.model),
            "folds": plan.folds,
            "aggregation": plan.aggregation,
            "augmentation": "D4",
            "data_digest": data_digest,
            "quarantined": len(plan.units.quarantined),
        },
        classes=plan.classes,
        positive=plan.classes[-1],
        timepoint_ms=timepoint_ms,
    )


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
        test_at, logits = outcome(member)
        total[test_at] += logits / member.card.temperature
        seen[test_at] += 1
    at = np.flatnonzero(seen)
    mean = total[at] / seen[at, None]
    labels, groups = plan.units.labels[at], plan.units.groups[at]
    return scores(mean, labels, groups, plan.classes, aggregation=plan.aggregation)


def held_out(
    plan: Plan, members: Sequence[Member]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and positive probability of every test unit of every replicate."""
    truth, p = [], []
    for member in members:
        test_at, logits = outcome(member)
        truth.append(plan.units.labels[test_at] == len(plan.classes) - 1)
        p.append(softmax(logits.astype(float) / member.card.temperature)[:, -1])
    return np.concatenate(truth), np.concatenate(p)


def outcome(member: Member) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Unit numbers of a replicate's test split, and their logits (n, k)."""
    return member.kept["test_at"].numpy(), member.kept["test_logits"].numpy()


def headline(plan: Plan, members: Sequence[Member]) -> dict[str, float]:
    """Mean of each metric over the members, the spread of AUROC, and the ensemble's."""
    together = ensemble_scores(plan, members)
    of_all = ("auroc", "well_auroc", "accuracy", "nll", "well_nll", "ece")
    return {
        **mean_metrics(members, "test_auroc"),
        **{f"ensemble_{key}": together[key] for key in of_all},
    }


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
