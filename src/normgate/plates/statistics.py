"""Control separation of each plate, and the rescue of wells and treatments.

Rescue is (m_disease - s) / (m_disease - m_healthy) within one plate: 0 is the mean of
the diseased controls, 1 that of the healthy ones; it is not clipped. It is undefined
(NaN, with a sentence) where the controls of a plate can't carry it: too few of them,
or means less than two pooled standard errors apart, or the wrong way round.

Controls that a model was trained on separate better than they should, so a plate's
means rest on held-out control wells; where there are not two of each class, on all,
and the plate says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from normgate.plates.aggregate import DISEASE, HEALTHY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from normgate.plates.aggregate import Scores

MIN_SEPARATION = 2.0
"""Pooled standard errors between the control means below which rescue is undefined."""
MIN_CONTROLS = 8
"""Held-out control wells a class below which an interval is labelled."""
NOMINAL, UNDER_COVERING = "nominal", "under-covering"
MAD_SD = 1.4826
"""Median absolute deviation to standard deviation, for normal data."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The control wells that a plate's means rest on."""

    plate: str
    disease: NDArray[np.int64]
    """Positions in `Scores.wells`."""
    healthy: NDArray[np.int64]
    held_out: bool
    """No well of them was seen in training."""

    @property
    def enough(self) -> bool:
        """Whether there are enough held-out wells for the interval to cover."""
        fewest = min(len(self.disease), len(self.healthy))
        return self.held_out and fewest >= MIN_CONTROLS


def controls(scores: Scores, plate: str) -> Controls:
    """Choose a plate's control wells: held-out ones if two of each class are."""
    wells = scores.wells
    here = (wells["plate"] == plate).to_numpy()
    fair = wells["held_out"].to_numpy(dtype=np.bool_)
    of = {
        role: here & (wells["role"] == role).to_numpy() for role in (DISEASE, HEALTHY)
    }
    held_out = all(int((mask & fair).sum()) >= 2 for mask in of.values())
    chosen = {
        role: np.flatnonzero(mask & fair if held_out else mask)
        for role, mask in of.items()
    }
    return Controls(plate, chosen[DISEASE], chosen[HEALTHY], held_out)


def plate_row(scores: Scores, chosen: Controls) -> dict[str, object]:
    """Describe the controls of one plate.

    Returns:
        Counts, means and SDs in logit units, Z', robust Z' (Zhang et al. 1999, with
        median and MAD), SSMD (Zhang 2007), AUROC by well and by unit, whether the
        intervals may be trusted, and why rescue is undefined, if it is.
    """
    values = scores.wells["score"].to_numpy(dtype=np.float64)
    disease, healthy = values[chosen.disease], values[chosen.healthy]
    reason = undefined(disease, healthy, scores)
    return {
        "model": scores.model,
        "plate": chosen.plate,
        "disease_wells": len(disease),
        "healthy_wells": len(healthy),
        "held_out": chosen.held_out,
        "mean_disease": mean(disease),
        "mean_healthy": mean(healthy),
        "sd_disease": sd(disease),
        "sd_healthy": sd(healthy),
        "pooled_se": pooled_se(disease, healthy),
        "z_prime": z_prime(disease, healthy),
        "robust_z_prime": robust_z_prime(disease, healthy),
        "ssmd": ssmd(disease, healthy),
        "auroc_wells": auroc(disease, healthy),
        "auroc_units": auroc(
            _units(scores, chosen.disease), _units(scores, chosen.healthy)
        ),
        "interval": NOMINAL if chosen.enough else UNDER_COVERING,
        "rescue_defined": not reason,
        "reason": reason,
        "note": _note(chosen),
    }


def undefined(
    disease: NDArray[np.float64], healthy: NDArray[np.float64], scores: Scores
) -> str:
    """Say why a plate has no rescue scale; empty where it has one."""
    for name, values in (
        (scores.roles.disease, disease),
        (scores.roles.healthy, healthy),
    ):
        if len(values) < 2:
            return (
                f"{len(values)} control well(s) labelled {name}, expected at least 2 "
                "on each plate"
            )
    apart, se = mean(disease) - mean(healthy), pooled_se(disease, healthy)
    if apart > 0 and apart >= MIN_SEPARATION * se:
        return ""
    if apart < 0 and -apart >= MIN_SEPARATION * se:
        return (
            f"the controls are the wrong way round: {scores.roles.disease} scores "
            f"{mean(disease):.3g}, {scores.roles.healthy} {mean(healthy):.3g}; check "
            "labels and class order"
        )
    return (
        f"the control means lie {apart:.3g} apart, less than {MIN_SEPARATION:g} pooled "
        f"standard errors of {se:.3g}: this model does not tell the controls apart here"
    )


def rescue(
    values: NDArray[np.float64], mean_disease: float, mean_healthy: float
) -> NDArray[np.float64]:
    """Put scores on the rescue scale: 0 at the diseased mean, 1 at the healthy."""
    return (mean_disease - values) / (mean_disease - mean_healthy)


def mean(values: NDArray[np.float64]) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def sd(values: NDArray[np.float64]) -> float:
    """The standard deviation with ddof 1; NaN of fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def pooled_se(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Standard error of the difference of two means: sqrt(s1^2/n1 + s2^2/n2)."""
    if min(len(one), len(two)) < 2:
        return float("nan")
    return float(np.sqrt(sd(one) ** 2 / len(one) + sd(two) ** 2 / len(two)))


def z_prime(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """1 - 3 (s1 + s2) / |m1 - m2|; above 0.5 excellent, below 0 overlapping."""
    return _z(sd(one) + sd(two), abs(mean(one) - mean(two)))


def robust_z_prime(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Z' with medians and 1.4826 MAD."""
    if min(len(one), len(two)) < 2:
        return float("nan")
    apart = abs(float(np.median(one) - np.median(two)))
    return _z(_mad(one) + _mad(two), apart)


def ssmd(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """(m1 - m2) / sqrt(s1^2 + s2^2); above 3 strong, 2 to 3 moderate."""
    spread = float(np.hypot(sd(one), sd(two)))
    return (mean(one) - mean(two)) / spread if spread > 0 else float("nan")


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """P(positive > negative) + P(equal) / 2, by midranks; NaN where one is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    both = np.concatenate([positive, negative])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = len(positive), len(negative)
    return float((midranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def _z(spread: float, apart: float) -> float:
    return 1 - 3 * spread / apart if apart > 0 else float("nan")


def _mad(values: NDArray[np.float64]) -> float:
    return MAD_SD * float(np.median(np.abs(values - np.median(values))))


def _units(scores: Scores, wells: NDArray[np.int64]) -> NDArray[np.float64]:
    parts = [scores.units[scores.of_well(int(well))] for well in wells]
    return np.concatenate(parts) if parts else np.empty(0)


def _note(chosen: Controls) -> str:
    if not len(chosen.disease) or not len(chosen.healthy):
        return ""
    if not chosen.held_out:
        return (
            "control wells were seen in training: they separate better than they should"
        )
    if not chosen.enough:
        return f"fewer than {MIN_CONTROLS} held-out control wells a class"
    return ""
