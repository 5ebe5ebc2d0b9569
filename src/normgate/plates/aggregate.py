"""From prediction rows to units to wells: scores, and which replicates they rest on.

A score is the logit of the disease class minus that of the healthy class: logits, not
probabilities, because averaging saturated shares compresses them. A unit's score is
the mean over replicates, a well's the mean over its units, or what `well_score` has
besides. Only replicates that never
saw a unit's split group are used (cross-fitting); where there are none, all are, and
the well says so. Statistics over wells are `statistics`'s.

Axes: u units, r replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from normgate.errors import DataError, SettingsError
from normgate.plates.well_score import well_scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from normgate.plates.gather import ModelPredictions
    from normgate.plates.predictions import ShardMeta

_WELL = ("plate", "row", "column")
_OF_WELL = ("plate", "well", "row", "column", "genotype", "treatment", "label")
DISEASE, HEALTHY, TREATED = "disease control", "healthy control", ""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which class of a model is the disease, and which the state to be rescued to."""

    disease: str
    healthy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one model; units and wells are in the order of their keys."""

    model: str
    version: str
    roles: Roles
    how: str
    """How units become wells, as `well_score` names it."""
    replicates: tuple[int, ...]
    scores_ur: NDArray[np.float64]
    """Disease logit minus healthy logit; NaN where a replicate is not used."""
    units: NDArray[np.float64]
    """Mean over the replicates used (u,)."""
    starts: NDArray[np.int64]
    """First unit of each well, and the number of units at the end."""
    wells: pd.DataFrame
    """One row per well: place, genotype, treatment, label, role, units, replicates,
    held_out, score, score_sd (over units), disease_share (units with score > 0)."""

    def of_well(self, well: int) -> slice:
        """The units of one well."""
        return slice(int(self.starts[well]), int(self.starts[well + 1]))


def roles(meta: ShardMeta, model: str, disease: str = "", healthy: str = "") -> Roles:
    """Settle the classes: given ones, or the positive class and the only other one.

    Raises:
        SettingsError: A class is unknown, or it is unclear which is meant.
    """
    disease = disease or meta.positive
    for name in filter(None, (disease, healthy)):
        if name not in meta.classes:
            msg = f"class {name!r} is none of model {model}'s {list(meta.classes)}"
            raise SettingsError(msg)
    others = [name for name in meta.classes if name != disease]
    if not healthy and len(others) > 1:
        msg = f"model {model} has classes {list(meta.classes)}; name the healthy one"
        raise SettingsError(msg)
    found = Roles(disease, healthy or others[0])
    if found.disease == found.healthy:
        msg = f"class {disease!r} can't be both disease and healthy; name two classes"
        raise SettingsError(msg)
    return found


def score(predictions: ModelPredictions, roles: Roles, how: str = "mean") -> Scores:
    """Score the units and wells of one model.

    Args:
        predictions: Rows in the order of their keys, each unit by every replicate.
        roles: The classes whose logits are subtracted.
        how: How units become wells: mean, median, trimmed or weighted.

    Returns:
        Scores in logit units; positive is diseased.

    Raises:
        DataError: A well has rows of two treatments, genotypes or labels.
    """
    frame = predictions.frame
    replicates = tuple(predictions.meta.temperatures)
    shape = (-1, len(replicates))
    logits = {
        name: frame[f"logit_{name}"].to_numpy(dtype=np.float64).reshape(shape)
        for name in (roles.disease, roles.healthy)
    }
    held_out = frame["held_out"].to_numpy(dtype=np.bool_).reshape(shape)
    fair: NDArray[np.bool_] = np.any(held_out, axis=1)
    used = held_out | ~fair[:, None]
    scores_ur = logits[roles.disease] - logits[roles.healthy]
    counts = used.sum(axis=1)
    units = np.where(used, scores_ur, 0.0).sum(axis=1) / counts
    places = frame.iloc[:: len(replicates)]
    starts = _starts(places)
    return Scores(
        model=predictions.model,
        version=predictions.version,
        roles=roles,
        how=how,
        replicates=replicates,
        scores_ur=np.where(used, scores_ur, np.nan),
        units=units,
        starts=starts,
        wells=_wells(places, starts, units, counts, fair, roles, how),
    )


def _starts(places: pd.DataFrame) -> NDArray[np.int64]:
    """Where each well begins among the units, which are sorted by well."""
    new = np.zeros(len(places), dtype=np.bool_)
    new[:1] = True
    for name in _WELL:
        values = places[name].to_numpy()
        new[1:] |= values[1:] != values[:-1]
    return np.append(np.flatnonzero(new), len(places)).astype(np.int64)


def _wells(
    places: pd.DataFrame,
    starts: NDArray[np.int64],
    units: NDArray[np.float64],
    counts: NDArray[np.int64],
    fair: NDArray[np.bool_],
    roles: Roles,
    how: str,
) -> pd.DataFrame:
    first, sizes = starts[:-1], np.diff(starts)
    _check_one_fate(places, starts)
    wells = places.iloc[first].loc[:, list(_OF_WELL)].reset_index(drop=True)
    wells = wells.astype(
        {name: object for name in _OF_WELL if name not in ("row", "column")}
    )
    named = {roles.disease: DISEASE, roles.healthy: HEALTHY}
    means = np.add.reduceat(units, first) / sizes
    deviations = (units - np.repeat(means, sizes)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(np.add.reduceat(deviations, first) / (sizes - 1))
    return wells.assign(
        role=[named.get(str(label), TREATED) for label in wells["label"]],
        units=sizes,
        replicates=np.minimum.reduceat(counts, first),
        held_out=np.logical_and.reduceat(fair, first),
        score=means if how == "mean" else _one_by_one(units, starts, how),
        score_sd=sd,
        disease_share=np.add.reduceat((units > 0).astype(np.float64), first) / sizes,
    )


def _one_by_one(
    units: NDArray[np.float64], starts: NDArray[np.int64], how: str
) -> NDArray[np.float64]:
    """Each well by itself, so that one with many units needs no room for the others."""
    spans = pairwise(starts)
    scores = [
        well_scores(units[first:last], np.array(last - first), how)
        for first, last in spans
    ]
    return np.array(scores, dtype=np.float64)


def _check_one_fate(places: pd.DataFrame, starts: NDArray[np.int64]) -> None:
    """A well has one genotype, treatment and label."""
    inside = np.ones(len(places), dtype=np.bool_)
    inside[starts[:-1]] = False
    for name in ("genotype", "treatment", "label"):
        values = places[name].to_numpy()
        wrong = np.flatnonzero(inside[1:] & (values[1:] != values[:-1]))
        if wrong.size:
            one, two = places.iloc[int(wrong[0])], places.iloc[int(wrong[0]) + 1]
            msg = (
                f"plate {one['plate']} well {one['well']} has {name} {one[name]!r} at "
            )
            msg += f"site {one['site']} and {two[name]!r} at site {two['site']}"
            raise DataError(f"{msg}; give a well one {name} in the plate CSV")
