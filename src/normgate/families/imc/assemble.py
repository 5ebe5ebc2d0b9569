"""What a bundle says of IMC replicates: its card's own part, golden acquisitions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from normgate.acquisitions.geometry import CellGeometry
from normgate.acquisitions.probe import CELLS_SHAPE, probe_labels
from normgate.engine.assemble import Origin, mean_metrics
from normgate.engine.split import split_of
from normgate.families.imc.space import loses_abundance, measured_space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normgate.contract import Provenance, Spec
    from normgate.engine.member import Member
    from normgate.families.imc.plan import Plan

FAMILY = "imc"
GOLDEN = 2
"""Acquisitions, each of two units by two, or of the probe's cells."""


def origin_of(
    plan: Plan,
    *,
    preset: str,
    applied_fingerprint: str,
    provenance: Provenance | None,
    data_digest: str,
) -> Origin:
    """What the bundle records beside its members.

    Args:
        plan: What the replicates share.
        preset: As in the entry.
        applied_fingerprint: As measured on the training's own files.
        provenance: Where the spec's constants came from.
        data_digest: SHA-256 of the acquisition CSV.
    """
    first = split_of(plan.fold, plan.folds, 0).train
    return Origin(
        family=FAMILY,
        preset=preset,
        spec=plan.units.spec,
        provenance=provenance,
        applied_fingerprint=applied_fingerprint,
        geometry=plan.geometry.to_json(),
        settings={
            "model": asdict(plan.settings.model),
            "loss": asdict(plan.settings.loss),
            "folds": plan.folds,
            "augmentation": "D4" if plan.augment else "none",
            "abundance_lost": list(loses_abundance(plan.units.spec)),
            "evaluation_space": asdict(
                measured_space(plan.units.values(plan.units.raw, first), plan.cofactor)
            ),
            "data_digest": data_digest,
            "quarantined": len(plan.units.quarantined),
        },
    )


def headline(members: Sequence[Member]) -> dict[str, float]:
    """Mean of each metric over the members, and the spread of the median R2."""
    return mean_metrics(members, "test_r2_median")


def golden_acquisitions(plan: Plan) -> torch.Tensor:
    """Raw acquisitions (2, c, y, x) that look like the training's; no data of anyone.

    Log-normal values around the training's mean, rounded where channels hold integers.
    Where units are of cells the probe's labels follow as the last plane.
    """
    spec: Spec = plan.units.spec
    if isinstance(plan.geometry, CellGeometry):
        rows, columns = CELLS_SHAPE
    else:
        rows, columns = (2 * side for side in plan.geometry.window_yx)
    rng = np.random.default_rng(0)
    shape = (GOLDEN, len(spec.channels), rows, columns)
    raw = plan.units.values(plan.units.raw)
    size = np.abs(raw).mean(axis=(0, 2, 3), dtype=np.float64)
    drawn = size[None, :, None, None] * rng.lognormal(sigma=0.5, size=shape)
    for c, channel in enumerate(spec.channels):
        if channel.input != "float32":
            limit = np.iinfo(channel.input).max
            drawn[:, c] = np.minimum(np.rint(drawn[:, c]), limit)
    if isinstance(plan.geometry, CellGeometry):
        labels = np.broadcast_to(probe_labels(), (GOLDEN, 1, rows, columns))
        drawn = np.concatenate([drawn, labels], axis=1)
    return torch.from_numpy(drawn.astype(np.float32))
