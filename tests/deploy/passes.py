"""One pass of three made-up models over small plates."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from tests.deploy.fakes import fake_model, plate_spec

from normgate.deploy.pipeline import deploy
from normgate.deploy.settings import DeploySettings
from normgate.plates.load import Site, sites
from normgate.plates.schema import read_plate_csv

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from normgate.deploy.models import Model
    from normgate.deploy.report import Report

TWO, BOTH = ("RFP1", "HALO"), ("RFP1:0ms", "HALO:0ms", "HALO:10000ms")


def models() -> list[Model]:
    return [
        fake_model("early", plate_spec(TWO), 0),
        fake_model("late", plate_spec(TWO), 10000),
        fake_model("both", plate_spec(BOTH), None),
    ]


def failing() -> list[Model]:
    """Models that must not be asked."""

    def forward(batch_ncyx: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a finished shard was predicted again")

    return [replace(model, forward=forward) for model in models()]


def places(data: Path) -> list[Site]:
    return sites(read_plate_csv(data), data)


def run(data: Path, out: Path, used: list[Model] | None = None, **more: Any) -> Report:
    settings = DeploySettings(
        data=data, out=out, **{"batch_size": 5, "shard_sites": 3, "workers": 2, **more}
    )
    return deploy(used or models(), places(data), settings)


def table(out: Path, model: str) -> pd.DataFrame:
    parts = sorted((out / model).glob("part-*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".deploy.lock"
    }
