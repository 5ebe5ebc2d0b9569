"""Prediction rows: one per unit and replicate, keyed and stamped.

Every row says where it comes from (plate, well, site, unit and its middle pixel) and
what made it (spec, manifest and input digests, model, version, replicate), so that no
later step joins rows by their order.

Axes: n units, r replicates, k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from normgate.deploy.models import Model
    from normgate.deploy.reading import Served
    from normgate.plates.load import Site

SITE_COLUMNS = (
    "plate", "well", "site", "genotype", "treatment", "label", "split_group",
)  # fmt: skip


def rows(
    model: Model,
    places: Sequence[tuple[Site, Served]],
    logits_rnk: NDArray[np.float32] | None,
) -> pd.DataFrame:
    """Build the rows of one model for one shard, by unit, then by replicate.

    Args:
        model: The model that made the logits.
        places: The sites that it was given, in order.
        logits_rnk: Its logits for all their units; None where there are none.
    """
    members = len(model.members)
    if logits_rnk is None:
        logits_rnk = np.empty((members, 0, len(model.classes)), dtype=np.float32)
    columns = {
        **_places(places, members),
        **_members(model, places),
        **_scores(model, logits_rnk),
        "spec_digest": model.spec_digest,
        "manifest_digest": model.manifest_digest,
        "model": model.name,
        "version": model.version,
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(logits_rnk[..., 0].size))


def _places(
    places: Sequence[tuple[Site, Served]], members: int
) -> dict[str, NDArray[Any]]:
    counts = [len(served.units.keys) * members for _, served in places]
    columns = {
        name: _spread([getattr(site, name) for site, _ in places], counts)
        for name in SITE_COLUMNS
    }
    columns["input_digest"] = _spread([s.input_digest for _, s in places], counts)
    keys = [key for _, served in places for key in served.units.keys]
    for index, name in enumerate(("unit", "y", "x")):
        values = np.array([key[index] for key in keys], dtype=np.int64)
        columns[name] = np.repeat(values, members)
    return columns


def _members(
    model: Model, places: Sequence[tuple[Site, Served]]
) -> dict[str, NDArray[Any]]:
    units = sum(len(served.units.keys) for _, served in places)
    replicates = np.array([m.replicate for m in model.members], dtype=np.int64)
    held_out = [
        [site.split_group not in member.seen for member in model.members]
        for site, served in places
        for _ in served.units.keys
    ]
    return {
        "replicate": np.tile(replicates, units),
        "held_out": np.array(held_out, dtype=np.bool_).reshape(-1),
    }


def _scores(model: Model, logits_rnk: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    logits = logits_rnk.swapaxes(0, 1).reshape(-1, len(model.classes))
    temperatures = np.tile(
        np.array([m.temperature for m in model.members], dtype=np.float64),
        logits_rnk.shape[1],
    )
    scaled = logits.astype(np.float64) / temperatures[:, None]
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    shares /= shares.sum(axis=1, keepdims=True)
    positive = model.classes.index(model.positive)
    names = np.array(model.classes, dtype=object)
    return {
        **{f"logit_{name}": logits[:, k] for k, name in enumerate(model.classes)},
        f"probability_{model.positive}": shares[:, positive],
        "predicted_class": names[logits.argmax(axis=1)],
    }


def _spread(values: list[str], counts: list[int]) -> NDArray[Any]:
    return np.repeat(np.array(values, dtype=object), counts)
