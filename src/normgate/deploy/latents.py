"""What a model made of an acquisition, as files: a table of latents, reconstructions.

A row of `latents.csv` is a unit: a box of a grid, by its first pixel, or a graph of
cells, by the mean place of its cells and their number. `reconstruction.h5` holds the
normalized units, and for graphs which cell of the mask each is.

Axes: u units, c channels, h and w nodes, k cells of a unit, d latent.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from normgate.acquisitions.geometry import CellGeometry
from normgate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from normgate.acquisitions.load import Loaded, Loader
    from normgate.acquisitions.table import Acquisition

MOST_CELLS = 1 << 24
"""Whole numbers that float32 holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The units of one acquisition, and the raw input that they are cut from."""

    raw_cyx: NDArray[np.float32]
    """As a bundle takes it: channels, and for graphs the cells' numbers behind them."""
    where: Mapping[str, NDArray[Any]]
    """Columns that tell where each unit lies, (u,)."""
    labels_uk: NDArray[np.int64] | None = None
    """The label of each cell in the mask, 0 for padding; None for grids."""


def units_of(loader: Loader, loaded: Loaded) -> Units:
    """The units of an acquisition in the order in which a bundle gives them.

    Raises:
        DataError: Its mask holds no cell, or more than 16,777,216.
    """
    planes = [plane.astype(np.float32) for plane in loaded.planes]
    if isinstance(loader.geometry, CellGeometry):
        return _of_cells(loader, loaded, planes)
    boxes = loader.grids(loaded.image_cyx).boxes
    where = {name: np.array([getattr(b, name) for b in boxes]) for name in ("y", "x")}
    return Units(raw_cyx=np.stack(planes), where=where)


def table(
    row: Acquisition,
    units: Units,
    latent_ud: NDArray[Any],
    stamps: Mapping[str, str],
) -> bytes:
    """A CSV row for each unit: where it lies, its latent, and what made it."""
    where = pd.DataFrame(
        {
            "acquisition": row.acquisition,
            "slide": row.slide,
            "patient": row.patient,
            "unit": np.arange(len(latent_ud)),
            **units.where,
        }
    )
    names = [f"z{number:04d}" for number in range(latent_ud.shape[1])]
    latent = pd.DataFrame(latent_ud, columns=names)
    made = pd.DataFrame(dict(stamps), index=where.index)
    text = io.StringIO(newline="")
    pd.concat([where, latent, made], axis=1).to_csv(
        text, index=False, lineterminator="\n", float_format="%.9g"
    )
    return text.getvalue().encode()


def images(
    units: Units,
    found: NDArray[Any],
    channels: Sequence[str],
    stamps: Mapping[str, str],
) -> bytes:
    """An HDF5 file of normalized reconstructions, channels and stamps beside.

    Args:
        units: What was reconstructed.
        found: (u, c, h, w), of cells (u, k, c).
        channels: Their names.
        stamps: What made them.
    """
    data = io.BytesIO()
    with h5py.File(data, "w", track_order=True) as file:
        dataset = file.create_dataset(
            "reconstruction", data=found.astype(np.float32), track_times=False
        )
        dataset.attrs["channels"] = list(channels)
        for key, value in stamps.items():
            dataset.attrs[key] = value
        if units.labels_uk is not None:
            file.create_dataset("labels", data=units.labels_uk, track_times=False)
    return data.getvalue()


def _of_cells(
    loader: Loader, loaded: Loaded, planes: list[NDArray[np.float32]]
) -> Units:
    """Graphs of cells, whose numbers stand for labels that float32 may not hold."""
    assert loaded.labels_yx is not None
    name, mask = loaded.acquisition.name, loaded.acquisition.mask
    labels_yx = loaded.labels_yx
    labels = np.unique(labels_yx[labels_yx > 0])
    if not 1 <= (count := len(labels)) < MOST_CELLS:
        raise DataError(
            f"{name}: mask {mask} holds {count} cells; expected 1 to {MOST_CELLS - 1}, "
            "so segment it again, or leave the acquisition out"
        )
    number_yx = np.where(labels_yx > 0, np.searchsorted(labels, labels_yx) + 1, 0)
    graph = loader.graph(loaded.image_cyx, labels_yx)
    cut = loader.neighbourhoods(graph)
    real_uk = cut.places_un >= 0
    cells_u = real_uk.sum(axis=1)
    places_uk2 = cut.gathered(graph.cells.positions_n2.astype(np.float64))
    middle_u2 = places_uk2.sum(axis=1) / cells_u[:, None]
    return Units(
        raw_cyx=np.stack([*planes, number_yx.astype(np.float32)]),
        where={"y": middle_u2[:, 0], "x": middle_u2[:, 1], "cells": cells_u},
        labels_uk=cut.gathered(graph.cells.labels),
    )
