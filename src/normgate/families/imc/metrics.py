"""How good reconstructions and latents are, in the one evaluation space.

All are free of the loss's weights, so that runs of different losses can be compared.
R2 is 1 - squared error / squared deviation from a channel's mean over the units judged.

Axes: u units, c channels, h rows and w columns of nodes, d latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ACTIVE = 0.01
"""Variance of a latent's mean over units from which it counts as used."""
_TINY = 1e-12


def image_scores(
    found_uchw: Array, truth_uchw: Array, scale: Sequence[float]
) -> dict[str, float]:
    """Metrics of reconstructions.

    Args:
        found_uchw: Reconstructions in the evaluation space.
        truth_uchw: The units there.
        scale: Each channel's raw std, to find those of the lowest scale.

    Returns:
        r2_median and r2_low_scale (the median over the tenth of the channels whose raw
        scale is lowest), spatial_r2 (each unit's own channel means taken off both),
        abundance_r2 (of those means), medians over channels; sharpness, the ratio of
        gradient energies; diversity, the ratio of variances over units.
    """
    means = [x.mean(axis=(2, 3), keepdims=True) for x in (found_uchw, truth_uchw)]
    spatial = channel_r2(found_uchw - means[0], truth_uchw - means[1])
    return {
        **_r2_scores(found_uchw, truth_uchw, scale),
        "spatial_r2": float(np.median(spatial)),
        "abundance_r2": float(np.median(channel_r2(means[0], means[1]))),
        "sharpness": sharpness(found_uchw, truth_uchw),
        "diversity": diversity(found_uchw, truth_uchw),
    }


def cell_scores(
    found_nc11: Array,
    truth_nc11: Array,
    unit_n: NDArray[np.int64],
    scale: Sequence[float],
) -> dict[str, float]:
    """Metrics of reconstructed cells; those that need a grid are not there.

    Args:
        found_nc11: Reconstructed cells (n, c, 1, 1) in the evaluation space.
        truth_nc11: The cells there.
        unit_n: The number of each cell's unit, from 0, in order.
        scale: As in `image_scores`.

    Returns:
        r2_median and r2_low_scale over cells, abundance_r2 over the means of units,
        and diversity, the ratio of variances over cells.
    """
    first = np.flatnonzero(np.diff(unit_n, prepend=-1))
    counts = np.diff(first, append=len(unit_n))[:, None, None, None]
    means = [np.add.reduceat(x, first) / counts for x in (found_nc11, truth_nc11)]
    return {
        **_r2_scores(found_nc11, truth_nc11, scale),
        "abundance_r2": float(np.median(channel_r2(means[0], means[1]))),
        "diversity": diversity(found_nc11, truth_nc11),
    }


def _r2_scores(
    found_uchw: Array, truth_uchw: Array, scale: Sequence[float]
) -> dict[str, float]:
    """Median over all channels, and over the tenth of the lowest raw scale."""
    each = channel_r2(found_uchw, truth_uchw)
    lowest = np.argsort(np.asarray(scale))[: max(1, len(each) // 10)]
    return {
        "r2_median": float(np.median(each)),
        "r2_low_scale": float(np.median(each[lowest])),
    }


def channel_r2(found_uchw: Array, truth_uchw: Array) -> Array:
    """R2 of each channel, (c,); 0 for a channel that is constant."""
    error = np.square(found_uchw - truth_uchw).sum(axis=(0, 2, 3))
    off = truth_uchw - truth_uchw.mean(axis=(0, 2, 3), keepdims=True)
    total = np.square(off).sum(axis=(0, 2, 3))
    r2: Array = np.where(total > _TINY, 1 - error / np.maximum(total, _TINY), 0.0)
    return r2


def sharpness(found_uchw: Array, truth_uchw: Array) -> float:
    """Energy of differences between neighbours, as a share of the truth's."""
    return _ratio(_gradient_energy(found_uchw), _gradient_energy(truth_uchw))


def diversity(found_uchw: Array, truth_uchw: Array) -> float:
    """Variance over units at each node and channel, as a share of the truth's."""
    return _ratio(
        float(found_uchw.var(axis=0).mean()), float(truth_uchw.var(axis=0).mean())
    )


def latent_scores(mu_ud: Array, logvar_ud: Array) -> dict[str, float]:
    """How much the latent is used.

    Returns:
        kl_true (nats, the sum over dimensions of the mean over units),
        kl_median (of a dimension), active_units and active_share (dimensions whose mean
        varies over units by more than 0.01).
    """
    each = 0.5 * (np.square(mu_ud) + np.exp(logvar_ud) - 1 - logvar_ud)
    kl_d = each.mean(axis=0)
    active = int((mu_ud.var(axis=0) > ACTIVE).sum())
    return {
        "kl_true": float(kl_d.sum()),
        "kl_median": float(np.median(kl_d)),
        "active_units": float(active),
        "active_share": active / mu_ud.shape[1],
    }


def probes(
    train_ud: Array,
    test_ud: Array,
    labels: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> dict[str, float]:
    """What a linear model reads off a latent, fitted on one split, judged on another.

    Args:
        train_ud: Latent means of the units that fit.
        test_ud: Of those that are judged.
        labels: By name: what each unit is, of both. Words are classes, judged by
            accuracy; numbers are judged by R2.

    Returns:
        `<name>_probe` for each.
    """
    found = {}
    for name, (fitted, judged) in labels.items():
        classes = fitted.dtype.kind in "USO"
        if classes and len(np.unique(fitted)) < 2:
            continue
        model = make_pipeline(StandardScaler(), _linear(classes))
        model.fit(train_ud, fitted)
        found[f"{name}_probe"] = float(model.score(test_ud, judged))
    return found


def legacy_scores(found_uchw: Array, truth_uchw: Array) -> dict[str, float]:
    """The incident's own, in the space that the training saw; informational.

    They change with the normalization: a lower value in another space says nothing.
    """
    off = found_uchw - truth_uchw
    lengths = np.sqrt(
        np.square(found_uchw).sum(axis=1) * np.square(truth_uchw).sum(axis=1)
    )
    cosine = (found_uchw * truth_uchw).sum(axis=1) / np.maximum(lengths, 1e-8)
    scores = {
        "legacy_mse": float(np.square(off).mean()),
        "legacy_cosine_loss": float(1 - cosine.mean()),
    }
    if off.shape[2:] != (1, 1):
        steps = (float(np.abs(np.diff(off, axis=axis)).mean()) for axis in (2, 3))
        scores["legacy_gradient_loss"] = sum(steps)
    return scores


def _linear(classes: bool) -> Any:
    if classes:
        return LogisticRegression(max_iter=1000)
    return RidgeCV(alphas=np.logspace(-3, 3, 7))


def _gradient_energy(x_uchw: Array) -> float:
    energies = (np.square(np.diff(x_uchw, axis=axis)).mean() for axis in (2, 3))
    return float(sum(energies))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > _TINY else 0.0
