"""Pictures of a fusion training: what was fused, intensities, and curves.

Each function writes one PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from normgate.engine.canvas import grid, save
from normgate.families.fusion.baselines import region_copy
from normgate.families.fusion.metrics import LESION_FROM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from normgate.families.fusion.data import FusionUnits
    from normgate.families.fusion.evaluation import Evaluation

SHOWN = 4
_BINS = 120
_SAMPLED = 256
_LEAST = 1e-6
_COLUMNS = ("MRI", "CT", "fused; lesion red, found green", "less the regions' copy")
_REGIONS = (("brain", "tab:cyan"), ("bone", "tab:orange"), ("lesion", "tab:red"))


def overview(path: Path, evaluation: Evaluation) -> None:
    """Some units: MRI, CT, fused image with its regions, and how far it is off.

    Regions are outlined: brain in blue, bone in orange, lesion in red, and the
    predicted lesion in green.
    """
    references, fused = evaluation.references, evaluation.fused
    error = fused.image - region_copy(references)
    images = (references.mri, references.ct, fused.image, error)
    chosen = _chosen(references.lesion)
    figure, axes = grid(len(chosen), len(images), width=2.0, height=2.0)
    for row, unit in enumerate(chosen):
        at = _middle(references.lesion[unit])
        for axis, title, image in zip(axes[row], _COLUMNS, images, strict=True):
            low, high = _limits(image, centred=image is error)
            cmap = "RdBu_r" if image is error else "gray"
            axis.imshow(image[unit][at], cmap=cmap, vmin=low, vmax=high)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(title, fontsize=8)
        for name, color in _REGIONS:
            _outline(axes[row][2], getattr(references, name)[unit][at], color)
        _outline(axes[row][2], fused.lesion[unit][at] >= LESION_FROM, "tab:green")
    save(figure, path)


def histograms(path: Path, units: FusionUnits, names: Sequence[str]) -> None:
    """What the network sees of each channel, in the foreground, and the CT in HU."""
    some = slice(0, _SAMPLED)
    inside = units.masks[some].any(axis=1)
    figure, axes = grid(1, len(names) + 1, width=3.2, height=2.6)
    axes[0][0].hist(units.hu[some][inside], bins=_BINS, color="0.5", log=True)
    axes[0][0].set_xlabel("CT in HU, foreground")
    for index, name in enumerate(names):
        axis = axes[0][index + 1]
        axis.hist(units.images[some, index][inside], bins=_BINS, log=True)
        axis.set_xlabel(f"{name} after normalization")
    axes[0][0].set_ylabel("voxels")
    save(figure, path)


def curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss, PSNR of bone, correlations and Dice over the epochs."""
    shown = (
        ("loss", ("train_loss", "train_diffusion")),
        ("bone PSNR, dB of 2000 HU", ("validation_bone_psnr_hu",)),
        ("correlation", ("validation_bone_ncc", "validation_brain_ncc")),
        ("lesion Dice", ("validation_lesion_dice",)),
    )
    figure, axes = grid(1, len(shown), width=3.2, height=2.6)
    epochs = range(1, len(history) + 1)
    for axis, (title, names) in zip(axes[0], shown, strict=True):
        for name in names:
            values = [metrics[name] for metrics in history]
            axis.plot(epochs, values, marker=".", label=name.replace("_", " "))
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch")
        axis.legend(fontsize=6)
    save(figure, path)


def _chosen(lesions: NDArray[np.bool_]) -> list[int]:
    """Units to show: those with most lesion, which tell most."""
    sizes = lesions.reshape(len(lesions), -1).sum(axis=1)
    return [int(unit) for unit in np.argsort(-sizes, kind="stable")[:SHOWN]]


def _middle(lesion: NDArray[np.bool_]) -> int | slice:
    """The slice of a 3D patch with most lesion; all of a slice."""
    if lesion.ndim == 2:
        return slice(None)
    sizes = lesion.reshape(len(lesion), -1).sum(axis=1)
    return int(sizes.argmax()) if sizes.any() else len(lesion) // 2


def _limits(image: NDArray[Any], *, centred: bool) -> tuple[float, float]:
    """What is shown black and white, or blue and red around 0."""
    if centred:
        most = max(float(np.percentile(np.abs(image), 99)), _LEAST)
        return -most, most
    low, high = np.percentile(image, (0.5, 99.5))
    return float(low), max(float(high), float(low) + _LEAST)


def _outline(axis: Axes, mask: NDArray[np.bool_], color: str) -> None:
    if mask.any() and not mask.all():
        axis.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=0.7)
