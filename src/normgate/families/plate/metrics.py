"""How good two-class predictions are, and the temperature that calibrates them.

Logits are float (n, k), labels whole numbers (n,), probabilities (n, k).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_auc_score

from normgate.families.plate.probabilities import softmax
from normgate.plates.well_score import well_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = 15
"""Equal bins of confidence in the expected calibration error."""
DRAWS = 500
"""Draws of groups behind an interval of what calibration gains."""
_COLDEST, _HOTTEST = 0.05, 20.0


def scores(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    classes: Sequence[str],
    temperature: float = 1.0,
    aggregation: str = "mean",
) -> dict[str, float]:
    """The metrics of one split.

    Args:
        logits: (n, k), before temperature.
        labels: Class numbers, (n,).
        groups: The split group (well) of each unit, (n,).
        classes: Class names in the order of the logits; the last is positive.
        temperature: Divides the logits.
        aggregation: How the units of a well become its score, as `well_score` names it.

    Returns:
        auroc and well_auroc, NaN where a class is missing; accuracy; nll and well_nll
        in nats; ece; and p_<class>, the mean positive probability of each class's
        units. A well's score is a logit, the difference of two classes' logits.
    """
    tempered = logits.astype(np.float64) / temperature
    probabilities = softmax(tempered)
    positive = len(classes) - 1
    margin = tempered[:, positive] - tempered[:, 0]
    truth = labels == positive
    well_truth, well_score = _by_group(truth, margin, groups, aggregation)
    found = {
        "auroc": auroc(truth, margin),
        "well_auroc": auroc(well_truth, well_score),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "nll": nll(probabilities, labels),
        "well_nll": _logistic_loss(well_truth, well_score),
        "ece": calibration_error(probabilities, labels),
    }
    for index, name in enumerate(classes):
        of_class = probabilities[labels == index, positive]
        found[f"p_{name}"] = float(of_class.mean()) if len(of_class) else float("nan")
    return found


def auroc(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Area under the ROC curve; NaN where there is only one class."""
    if truth.all() or not truth.any():
        return float("nan")
    return float(roc_auc_score(truth, score))


def nll(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean negative log likelihood of the true classes, in nats."""
    return float(_surprise(probabilities, labels).mean())


def calibration_error(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> float:
    """Expected calibration error over equal bins of confidence (Guo et al. 2017)."""
    bin_of, gaps = _gaps(probabilities, labels)
    return float(np.abs(np.bincount(bin_of, weights=gaps)).sum() / len(labels))


def fitted_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature of least negative log likelihood, 0.05 to 20."""

    def cost(log_temperature: float) -> float:
        tempered = logits.astype(np.float64) / float(np.exp(log_temperature))
        return nll(softmax(tempered), labels)

    bounds = (float(np.log(_COLDEST)), float(np.log(_HOTTEST)))
    found = minimize_scalar(cost, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def calibration_gain(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    temperature: float,
    seed: int = 0,
) -> dict[str, float]:
    """What a temperature changes, with intervals: it is often nothing.

    Args:
        logits: (n, k), before temperature.
        labels: Class numbers, (n,).
        groups: The split group (well) of each unit, (n,); whole groups are drawn.
        temperature: Divides the logits.
        seed: Of the draws.

    Returns:
        nll_gain and ece_gain, without temperature minus with it, so that more is
        better, and the ends of their 95% percentile intervals as <name>_low, _high.
    """
    names, index = np.unique(groups, return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), share, size=DRAWS)
    weights_dg = np.vstack([np.ones(len(names)), drawn])
    weights_dg = weights_dg / (weights_dg @ np.bincount(index))[:, None]

    def measured(temper: float) -> dict[str, NDArray[np.float64]]:
        probabilities = softmax(logits.astype(np.float64) / temper)
        surprise = np.bincount(index, weights=_surprise(probabilities, labels))
        bin_of, gaps = _gaps(probabilities, labels)
        cells = len(names) * BINS
        of_group = np.bincount(index * BINS + bin_of, weights=gaps, minlength=cells)
        drawn_gaps = weights_dg @ of_group.reshape(-1, BINS)
        return {
            "nll": weights_dg @ surprise,
            "ece": np.abs(drawn_gaps).sum(axis=1),
        }

    raw, tempered = measured(1.0), measured(temperature)
    found: dict[str, float] = {}
    for name in raw:
        gain, *gains = raw[name] - tempered[name]
        low, high = np.percentile(gains, (2.5, 97.5))
        found[f"{name}_gain"] = float(gain)
        found[f"{name}_gain_low"], found[f"{name}_gain_high"] = float(low), float(high)
    return found


def _surprise(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Negative log likelihood of each unit's true class, in nats."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    surprise: NDArray[np.float64] = -np.log(np.maximum(of_truth, 1e-300))
    return surprise


def _gaps(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each unit's bin of confidence, and whether it is right minus how sure it is."""
    confidence = probabilities.max(axis=1)
    bin_of = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return bin_of, (probabilities.argmax(axis=1) == labels) - confidence


def _logistic_loss(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Mean negative log likelihood of two classes by their logit, in nats."""
    return float(np.logaddexp(0, np.where(truth, -score, score)).mean())


def _by_group(
    truth: NDArray[np.bool_],
    margin: NDArray[np.floating],
    groups: NDArray[Any],
    aggregation: str,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Majority truth and score of each group."""
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    order = np.argsort(index, kind="stable")
    slots = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    units_gs = np.zeros((len(sizes), sizes.max()))
    units_gs[index[order], slots] = margin[order]
    shares = np.bincount(index, weights=truth) / sizes
    return shares > 0.5, well_scores(units_gs, sizes, aggregation)
