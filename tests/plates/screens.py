"""Simulated predictions whose truth is known, for the tests of everything after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from normgate.plates.gather import ModelPredictions
from normgate.plates.predictions import KEY, ShardMeta, write_shard
from normgate.plates.wells import parse_well

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

META = ShardMeta(("APP", "WT"), "APP", {0: 1.0, 1: 1.5}, {"RFP1": "1" * 64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One simulated screen: controls, and drugs of known rescue."""

    seed: int = 0
    plates: int = 2
    controls: int = 10
    """Control wells of each class on each plate."""
    wells: int = 4
    """Wells of each drug on each plate."""
    units: int = 6
    replicates: int = 2
    drugs: Mapping[str, float] | None = None
    """True rescue by drug."""
    separation: float = 2.0
    """Score of the diseased minus that of the healthy."""
    well_sd: float = 0.3
    unit_sd: float = 1.0
    replicate_sd: float = 0.2
    cross_fit: bool = True
    """Each control well is held out of one replicate in two."""


def meta_of(screen: Screen) -> ShardMeta:
    temperatures = {index: 1.0 + index / 2 for index in range(screen.replicates)}
    return ShardMeta(("APP", "WT"), "APP", temperatures, {"RFP1": "1" * 64})


def simulate(screen: Screen, model: str = "rescue") -> pd.DataFrame:
    """Rows of one model; score = separation * (severity - 1/2) + noise."""
    rng = np.random.default_rng(screen.seed)
    drugs = {"good": 0.8, "null": 0.0} if screen.drugs is None else screen.drugs
    of_replicate = rng.normal(0, screen.replicate_sd, screen.replicates)
    kinds = [("APP", "vehicle", "APP", 1.0), ("WT", "vehicle", "WT", 0.0)]
    kinds += [("APP", name, "", 1.0 - rescue) for name, rescue in drugs.items()]
    rows = []
    for plate in range(1, screen.plates + 1):
        shift = rng.normal(0, 0.5)
        for column, (genotype, treatment, label, severity) in enumerate(kinds, start=1):
            for index in range(screen.wells if not label else screen.controls):
                of_well = rng.normal(0, screen.well_sd)
                mean = screen.separation * (severity - 0.5) + shift + of_well
                name = f"{chr(ord('A') + index % 16)}{column + 10 * (index // 16):02d}"
                scores = rng.normal(mean, screen.unit_sd, (screen.units, 1))
                scores = scores + of_replicate
                scores += rng.normal(0, 0.1, scores.shape)
                for unit in range(screen.units):
                    for replicate in range(screen.replicates):
                        seen = label and screen.cross_fit and (index + replicate) % 2
                        rows.append(
                            {
                                "plate": f"P{plate}",
                                "well": name,
                                "site": "1",
                                "unit": unit,
                                "y": 16,
                                "x": 16,
                                "genotype": genotype,
                                "treatment": treatment,
                                "label": label,
                                "split_group": f"P{plate}:{name}",
                                "replicate": replicate,
                                "held_out": not seen,
                                "score": scores[unit, replicate],
                            }
                        )
    return stamped(pd.DataFrame(rows), model)


def stamped(frame: pd.DataFrame, model: str = "rescue") -> pd.DataFrame:
    """Add logits for the column `score`, and the stamps."""
    score = frame.pop("score").to_numpy()
    return frame.assign(
        logit_APP=(score / 2).astype(np.float32),
        logit_WT=(-score / 2).astype(np.float32),
        probability_APP=1 / (1 + np.exp(-score)),
        predicted_class=np.where(score > 0, "APP", "WT"),
        model=model,
        version="3",
        spec_digest="a" * 64,
        manifest_digest="b" * 64,
        input_digest="c" * 64,
    )


def write(
    folder: Path,
    frame: pd.DataFrame,
    meta: ShardMeta = META,
    parts: int = 1,
    order: np.random.Generator | None = None,
) -> Path:
    """Write rows as a model's shards, perhaps shuffled first."""
    if order is not None:
        frame = frame.iloc[order.permutation(len(frame))]
    cuts = np.array_split(np.arange(len(frame)), parts)
    for index, cut in enumerate(cuts):
        path = folder / frame["model"].iloc[0] / f"part-{index:05d}.parquet"
        write_shard(path, frame.iloc[cut], meta)
    return folder


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows as `read_predictions` gives them, without the way through files."""
    wells = [parse_well(name) for name in frame["well"]]
    frame = frame.assign(
        row=[well.row for well in wells], column=[well.column for well in wells]
    )
    return frame.sort_values(list(KEY)).reset_index(drop=True)


def predicted(screen: Screen, model: str = "rescue") -> ModelPredictions:
    """A screen's predictions as they are read."""
    return ModelPredictions(
        model=model,
        version="3",
        spec_digest="a" * 64,
        manifest_digest="b" * 64,
        meta=meta_of(screen),
        frame=sorted_rows(simulate(screen, model)),
    )
