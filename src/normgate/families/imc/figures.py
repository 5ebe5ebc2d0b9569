"""Pictures of an IMC training: reconstructions side by side, latents, R2 of channels.

Each function writes one PNG. Reconstructions are in the evaluation space, so that
pictures of trainings with different normalizations can be compared.

Axes: u units, c channels, h rows and w columns of nodes, d latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA

from normgate.engine.canvas import grid, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from normgate.families.imc.units import ImcUnits

CHANNELS_SHOWN = 3
_LAYOUT = "validation_spatial_r2"
BARS = 40
"""Channels of the bar chart; of more, the worst and the best."""


def compared(
    path: Path,
    truth_uchw: NDArray[np.float64],
    found_uchw: NDArray[np.float64],
    channels: Sequence[str],
) -> None:
    """The picture that grids have, or the one that cells have (n, c, 1, 1)."""
    cells = truth_uchw.shape[2:] == (1, 1)
    draw = reconstructed_cells if cells else reconstructions
    draw(path, truth_uchw, found_uchw, channels)


def reconstructed_cells(
    path: Path,
    truth_nc11: NDArray[np.float64],
    found_nc11: NDArray[np.float64],
    channels: Sequence[str],
) -> None:
    """Each cell against its reconstruction, on the diagonal where they are alike.

    The channels are those that vary most, least and in between.

    Args:
        path: The PNG.
        truth_nc11: Cells in the evaluation space.
        found_nc11: Their reconstructions.
        channels: The channels' names.
    """
    shown = _spread(truth_nc11.var(axis=(0, 2, 3)))
    figure, axes = grid(1, len(shown), width=3.4, height=3.2)
    for axis, c in zip(axes[0], shown, strict=True):
        truth, found = truth_nc11[:, c, 0, 0], found_nc11[:, c, 0, 0]
        axis.scatter(truth, found, s=6, alpha=0.5)
        ends = [float(truth.min()), float(truth.max())]
        axis.plot(ends, ends, color="0.4", linewidth=0.8)
        axis.set_xlabel("cell")
        axis.set_ylabel("reconstruction")
        axis.set_title(channels[c], fontsize=9)
    save(figure, path)


def _spread(variances_c: NDArray[np.float64]) -> list[int]:
    """A few channels, from that of the largest variance to that of the smallest."""
    order = np.argsort(variances_c)
    places = np.linspace(len(order) - 1, 0, min(CHANNELS_SHOWN, len(order)))
    return [int(order[round(place)]) for place in places]


def reconstructions(
    path: Path,
    truth_uchw: NDArray[np.float64],
    found_uchw: NDArray[np.float64],
    channels: Sequence[str],
) -> None:
    """Input, reconstruction and error of several units side by side.

    One scale for all, so that "all look alike" is seen. The channels are those whose
    layout varies most, least and in between.

    Args:
        path: The PNG.
        truth_uchw: Units in the evaluation space.
        found_uchw: Their reconstructions.
        channels: The channels' names.
    """
    layout = truth_uchw - truth_uchw.mean(axis=(2, 3), keepdims=True)
    shown = _spread(layout.var(axis=(0, 2, 3)))
    width = 1.1 * len(truth_uchw)
    figure, axes = grid(len(shown), 2, width=width, height=2.6)
    for (images, errors), c in zip(axes, shown, strict=True):
        truth, found = truth_uchw[:, c], found_uchw[:, c]
        low, high = np.percentile(truth, (1, 99))
        both = _tiled([truth, found])
        drawn = images.imshow(both, vmin=low, vmax=high, cmap="viridis")
        figure.colorbar(drawn, ax=images, shrink=0.8)
        images.set_title(f"{channels[c]}: input above, reconstruction below", size=8)
        wrong = _tiled([found - truth])
        drawn = errors.imshow(wrong, vmin=-2, vmax=2, cmap="RdBu_r")
        figure.colorbar(drawn, ax=errors, shrink=0.8)
        errors.set_title(f"{channels[c]}: error", size=8)
        images.set_axis_off()
        errors.set_axis_off()
    save(figure, path)


def _tiled(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows of images (u, h, w) as one picture, with a gap between any two."""
    framed = [
        np.pad(images, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
        for images in rows
    ]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in framed])


def spreads(path: Path, units: ImcUnits) -> None:
    """Std of each channel before and after normalization, sorted by the first."""
    before = units.values(units.raw).std(axis=(0, 2, 3), dtype=float)
    after = units.values(units.images).std(axis=(0, 2, 3), dtype=float)
    order = np.argsort(before)
    figure, axes = grid(1, 1, width=6.0, height=3.0)
    axis = axes[0][0]
    ranks = np.arange(len(order))
    axis.semilogy(ranks, before[order], marker=".", label="raw values")
    axis.semilogy(ranks, after[order], marker=".", label="after normalization")
    axis.set_xlabel("channels by raw spread")
    axis.set_ylabel("standard deviation")
    axis.legend(frameon=False, fontsize=8)
    save(figure, path)


def latents(
    path: Path, mu_ud: NDArray[Any], labels: Mapping[str, NDArray[Any]]
) -> None:
    """The first two principal components of latent means, coloured by what is known."""
    named = labels or {"units": np.zeros(len(mu_ud))}
    components = min(2, *mu_ud.shape)
    fitted = PCA(n_components=components, random_state=0)
    places = np.zeros((len(mu_ud), 2))
    places[:, :components] = fitted.fit_transform(mu_ud)
    figure, axes = grid(1, len(named), width=4.0, height=3.4)
    for axis, (name, values) in zip(axes[0], named.items(), strict=True):
        if values.dtype.kind in "USO":
            for word in np.unique(values):
                x, y = places[values == word].T
                axis.scatter(x, y, s=8, label=str(word))
            axis.legend(frameon=False, fontsize=7)
        else:
            x, y = places.T
            drawn = axis.scatter(x, y, s=8, c=values, cmap="viridis")
            figure.colorbar(drawn, ax=axis)
        shares = (*fitted.explained_variance_ratio_, 0.0)
        axis.set_xlabel(f"first component ({shares[0]:.0%})")
        axis.set_ylabel(f"second component ({shares[1]:.0%})")
        axis.set_title(f"latent by {name}", fontsize=9)
    save(figure, path)


def channel_bars(path: Path, r2: Mapping[str, float]) -> None:
    """R2 of each channel, sorted; below -1 is drawn at -1."""
    ranked = sorted(r2, key=lambda name: r2[name])
    if len(ranked) > BARS:
        ranked = ranked[: BARS // 2] + ranked[-BARS // 2 :]
    values = [max(r2[name], -1.0) for name in ranked]
    figure, axes = grid(1, 1, width=6.0, height=0.8 + 0.14 * len(ranked))
    axis = axes[0][0]
    colours = ["tab:red" if value <= 0 else "tab:blue" for value in values]
    axis.barh(ranked, values, color=colours)
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.tick_params(axis="y", labelsize=6)
    axis.set_xlabel("R2 of held-out units, in the evaluation space")
    most = "" if len(r2) <= BARS else f" (worst and best {BARS // 2} of {len(r2)})"
    axis.set_title(f"reconstruction of each channel{most}", fontsize=9)
    save(figure, path)


def curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Loss, R2 and KL over the epochs."""
    figure, axes = grid(1, 3, width=4.0, height=3.0)
    epochs = range(1, len(history) + 1)
    layout = [name for name in (_LAYOUT,) if any(name in one for one in history)]
    shown = (
        ("loss", ("train_loss", "train_mse")),
        ("R2", ("validation_r2_median", *layout)),
        ("nats", ("validation_kl_true", "validation_kl_reported")),
    )
    for axis, (title, names) in zip(axes[0], shown, strict=True):
        for name in names:
            values = [metrics.get(name, np.nan) for metrics in history]
            axis.plot(epochs, values, label=name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.set_ylabel(title)
        axis.legend(frameon=False, fontsize=8)
    save(figure, path)
