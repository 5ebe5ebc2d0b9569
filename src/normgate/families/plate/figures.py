"""Pictures of a plate training: intensities before and after, units, curves, ROC.

Each function writes one PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_curve

from normgate.engine.canvas import grid, save
from normgate.families.plate.metrics import auroc
from normgate.transform.table import first_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normgate.contract import Channel, Spec
    from normgate.families.plate.data import PlateUnits

UNITS_SHOWN = 8
_SAMPLED = 2048
_BINS = 120
_CALIBRATION_BINS = 10


def histograms(path: Path, spec: Spec, units: PlateUnits) -> None:
    """Raw counts above, what the network sees below; one column for each channel."""
    channels = spec.channels
    figure, axes = grid(2, len(channels), width=3.4, height=2.4)
    some = units.images[:_SAMPLED]
    for index, channel in enumerate(channels):
        before, after = axes[0][index], axes[1][index]
        counts = units.raw_counts[index]
        if counts is not None:
            _raw_histogram(before, channel, counts)
        before.set_title(channel.name)
        before.set_xlabel("raw counts")
        after.hist(some[:, index].ravel(), bins=_BINS, color="tab:blue", log=True)
        after.set_xlabel("after normalization")
    axes[0][0].set_ylabel("pixels")
    axes[1][0].set_ylabel("pixels")
    save(figure, path)


def montage(
    path: Path, units: PlateUnits, classes: Sequence[str], seed: int = 0
) -> None:
    """Units of each class as the network sees them: a row a class and channel."""
    rng = np.random.default_rng(seed)
    rows = [(number, c) for number in range(len(classes)) for c in units.channels]
    figure, axes = grid(len(rows), UNITS_SHOWN, width=1.1, height=1.1)
    for row, (number, channel) in enumerate(rows):
        index = units.channels.index(channel)
        if index == 0:
            of_class = np.flatnonzero(units.labels == number)
            chosen = rng.permutation(of_class)[:UNITS_SHOWN]
        limits = np.percentile(units.images[:_SAMPLED, index], (0.5, 99.5))
        for column, axis in enumerate(axes[row]):
            axis.set_axis_off()
            if column < len(chosen):
                picture = units.images[chosen[column], index]
                axis.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1])
        axes[row][0].set_title(f"{classes[number]} {channel}", fontsize=7, loc="left")
    save(figure, path)


def curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss and AUROC over the epochs."""
    figure, axes = grid(1, 2, width=4.2, height=3.0)
    epochs = range(1, len(history) + 1)
    shown = (
        ("loss", ("train_loss", "validation_nll")),
        ("AUROC", ("validation_auroc", "validation_well_auroc")),
    )
    for axis, (title, names) in zip(axes[0], shown, strict=True):
        for name in names:
            values = [metrics.get(name, np.nan) for metrics in history]
            axis.plot(epochs, values, label=name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.set_ylabel(title)
        axis.legend(frameon=False, fontsize=8)
    save(figure, path)


def roc_and_calibration(
    path: Path,
    curves_of: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.float64]]],
    positive: str,
) -> None:
    """ROC and reliability of held-out units.

    Args:
        path: The PNG.
        curves_of: By name: truth and positive probability of each unit.
        positive: The positive class.
    """
    figure, axes = grid(1, 2, width=4.2, height=3.8)
    roc, reliability = axes[0]
    for name, (truth, p) in curves_of.items():
        if truth.any() and not truth.all():
            false, true, _ = roc_curve(truth, p)
            roc.plot(false, true, label=f"{name}: {auroc(truth, p):.3f}")
        reliability.plot(*_reliability(truth, p), marker="o", markersize=3, label=name)
    for axis in (roc, reliability):
        axis.plot((0, 1), (0, 1), color="0.7", linewidth=1, zorder=0)
        axis.set_aspect("equal")
    roc.set_xlabel("false positive rate")
    roc.set_ylabel("true positive rate")
    roc.legend(frameon=False, fontsize=8, title="AUROC of held-out units")
    reliability.set_xlabel(f"P({positive})")
    reliability.set_ylabel(f"share that is {positive}")
    save(figure, path)


def _reliability(
    truth: NDArray[np.bool_], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.minimum((p * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    counts = np.bincount(at, minlength=_CALIBRATION_BINS)
    some = counts > 0
    mean_p = np.bincount(at, weights=p, minlength=_CALIBRATION_BINS)[some]
    share = np.bincount(at, weights=truth, minlength=_CALIBRATION_BINS)[some]
    return mean_p / counts[some], share / counts[some]


def _raw_histogram(axis: Axes, channel: Channel, counts: NDArray[np.int64]) -> None:
    start = first_value(channel.input)
    values = np.flatnonzero(counts) + start
    axis.hist(values, bins=_BINS, weights=counts[values - start], color="0.4", log=True)
