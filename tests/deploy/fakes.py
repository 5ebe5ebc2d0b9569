"""Small honest stand-ins: a model that is a fixed formula, and tiny plates."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tifffile
import torch

from normgate.contract import Channel, Rescale, Spec, spec_digest
from normgate.deploy.models import Member, Model
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader
from normgate.plates.schema import write_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

RANGES = {"RFP1": (963, 9016), "HALO": (1783, 11525), "HALO_MASKED": (0, 238)}
TILES = Geometry(kind="tile", window=16, size=16)


def plate_spec(names: tuple[str, ...], **ranges: tuple[int, int]) -> Spec:
    """Channels that rescale their marker's range to 0..1."""
    return Spec(channels=tuple(_channel(name, {**RANGES, **ranges}) for name in names))


def fake_model(
    name: str, spec: Spec, timepoint_ms: int | None, geometry: Geometry = TILES
) -> Model:
    """Two replicates whose logits are weighted means of the unit's channels."""
    weights_rkc = torch.linspace(-1, 1, 2 * 2 * len(spec.channels))
    weights_rkc = weights_rkc.reshape(2, 2, -1)

    def forward(batch_ncyx: torch.Tensor) -> torch.Tensor:
        return torch.einsum("rkc,nc->rnk", weights_rkc, batch_ncyx.mean(dim=(2, 3)))

    return Model(
        name=name,
        version="1",
        loader=Loader(spec, geometry, timepoint_ms),
        members=(
            Member(replicate=0, temperature=1.0, seen=frozenset({"P1:A01"})),
            Member(replicate=1, temperature=2.0, seen=frozenset()),
        ),
        classes=("APP", "WT"),
        positive="APP",
        spec_digest=spec_digest(spec),
        manifest_digest="b" * 64,
        device="cpu",
        forward=forward,
    )


def write_plates(folder: Path, wells: int = 10, side: int = 32) -> Path:
    """Write plates of one row: a site of four tiles a well, at two timepoints."""
    rng = np.random.default_rng(7)
    (folder / "images").mkdir(parents=True)
    table = []
    for column in range(1, wells + 1):
        for time in (0, 10000):
            row = {
                "plate": "P1",
                "well": f"A{column:02d}",
                "row": 1,
                "column": column,
                "site": "1",
                "timepoint_ms": time,
                "genotype": "APP" if column % 2 else "WT",
                "treatment": "vehicle",
                "label": "APP" if column % 2 else "WT",
                "split_group": f"P1:A{column:02d}",
            }
            for marker, (_, high) in RANGES.items():
                name = f"images/A{column:02d}_{time}_{marker}.tif"
                pixels = rng.integers(0, high, (side, side), dtype=np.uint16)
                tifffile.imwrite(folder / name, pixels, compression="zlib")
                row[f"path_{marker}"] = name
            table.append(row)
    write_plate_csv(pd.DataFrame(table), folder / "plates.csv")
    return folder / "plates.csv"


def _channel(name: str, ranges: dict[str, tuple[int, int]]) -> Channel:
    low, high = ranges[name.partition(":")[0]]
    step = Rescale(kind="rescale", low=Decimal(low), high=Decimal(high))
    return Channel(name=name, input="uint16", steps=(step,))
