"""Deploy over plates: the pipeline beside the bare model and the naive loop.

Run it as `python bench/deploy.py`. Three models (3 channels at either timepoint, 6
channels at both) see each site. The naive loop goes over the sites once for each model
and reads, normalizes, resizes and predicts one after another; the bare model predicts
ready tensors in batches. Pixels come from a warm page cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tifffile
import torch
from apply import CONSTANTS
from apply import spec as apply_spec
from timing import timings

from normgate.contract import Spec, spec_digest
from normgate.deploy import DeploySettings, Member, Model, deploy
from normgate.families.plate.model import build
from normgate.families.plate.settings import ModelSettings
from normgate.plates.geometry import Geometry
from normgate.plates.load import Loader, Site, sites
from normgate.plates.schema import read_plate_csv, write_plate_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from timing import Timing

BATCH = 16
SIZE = 224
MARKERS = tuple(name for name, *_ in CONSTANTS)
TIMES = (0, 10000)
CODECS = {"LZW": "lzw", "zstd": "zstd", "uncompressed": None}


Found = tuple["dict[str, Timing]", dict[str, float]]
"""Wall time and processor milliseconds of each way."""


@dataclass(frozen=True)
class Case:
    """Plates of one compression and the models that see them."""

    data: Path
    places: list[Site]
    models: list[Model]
    networks: list[torch.nn.Module]


def named(names: tuple[str, ...]) -> Spec:
    """The incident's three recipes under any channel names."""
    steps = {c.marker: c for c in apply_spec(3).channels}
    channels = [
        steps[n.partition(":")[0]].model_copy(update={"name": n}) for n in names
    ]
    return Spec(channels=tuple(channels))


def write_plates(folder: Path, wells: int, side: int, codec: str | None) -> Path:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / 97
    folder.mkdir()
    table = []
    for column in range(1, wells + 1):
        for moment in TIMES:
            row: dict[str, str | int] = {
                "plate": "P1", "well": f"A{column:02d}", "row": 1, "column": column,
                "site": "1", "timepoint_ms": moment, "genotype": "", "treatment": "",
                "label": "", "split_group": f"P1:A{column:02d}",
            }  # fmt: skip
            for marker, _, high, *_ in CONSTANTS:
                light = high / 4 * (1 + np.sin(x + column) * np.cos(y))
                pixels = rng.poisson(light).astype(np.uint16)
                name = f"A{column:02d}_{moment}_{marker}.tif"
                tifffile.imwrite(folder / name, pixels, compression=codec)
                row[f"path_{marker}"] = name
            table.append(row)
    write_plate_csv(pd.DataFrame(table), folder / "plates.csv")
    return folder / "plates.csv"


def models(backbone: str) -> tuple[list[Model], list[torch.nn.Module]]:
    both = tuple(f"{marker}:{moment}ms" for moment in TIMES for marker in MARKERS)
    wanted = [("early", MARKERS, 0), ("late", MARKERS, 10000), ("both", both, None)]
    found, networks = [], []
    for name, channels, moment in wanted:
        torch.manual_seed(0)
        network = network_of(backbone, len(channels)).eval()
        networks.append(network)
        found.append(
            Model(
                name=name,
                version="1",
                loader=Loader(
                    named(channels), Geometry(kind="site", size=SIZE), moment
                ),
                members=(Member(replicate=0, temperature=1.0, seen=frozenset()),),
                classes=("WT", "APP"),
                positive="APP",
                spec_digest=spec_digest(named(channels)),
                manifest_digest="0" * 64,
                device="cpu",
                forward=Forward(network),
            )
        )
    return found, networks


def network_of(backbone: str, channels: int) -> torch.nn.Module:
    """A network of the plate family, or `mean`: hardly any, to show the pipeline."""
    if backbone != "mean":
        return build(ModelSettings(backbone=backbone), channels, 2)
    pooled = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    return torch.nn.Sequential(*pooled, torch.nn.Linear(channels, 2))


class Forward:
    """One network as an ensemble of one."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, batch_ncyx: torch.Tensor) -> torch.Tensor:
        """Logits (1, n, k)."""
        logits: torch.Tensor = self.network(batch_ncyx)
        return logits[None]


@torch.inference_mode()
def naive(case: Case) -> dict[str, NDArray[np.float32]]:
    """One model after another, one site after another, one step after another."""
    logits = {}
    for model, network in zip(case.models, case.networks, strict=True):
        rows = []
        for site in case.places:
            planes = [
                tifffile.imread(site.planes[k]) for k in model.loader.channel_keys
            ]
            stack = np.stack([staged(i, plane) for i, plane in enumerate(planes)])
            unit = torch.nn.functional.interpolate(
                torch.from_numpy(stack)[None], (SIZE, SIZE), mode="bilinear",
                antialias=True,
            )  # fmt: skip
            rows.append(network(unit).numpy())
        logits[model.name] = np.concatenate(rows)
    return logits


def staged(index: int, plane: NDArray[np.uint16]) -> NDArray[np.float32]:
    _, low, high, mean, std = (
        float(v) if i else v for i, v in enumerate(CONSTANTS[index % 3])
    )
    clipped = np.clip(plane.astype(np.float32), low, high)
    scaled = (clipped - low) / (high - low)
    return ((scaled - mean) / std).astype(np.float32)


def ready(case: Case) -> list[list[torch.Tensor]]:
    """Every model's units as tensors, in batches."""
    found = []
    for model in case.models:
        units = [
            model.loader.units(s, model.loader.read(s)).images for s in case.places
        ]
        found.append(list(torch.from_numpy(np.concatenate(units)).split(BATCH)))
    return found


def bare(case: Case, tensors: list[list[torch.Tensor]]) -> None:
    for model, batches in zip(case.models, tensors, strict=True):
        for batch in batches:
            model.forward(batch)


def pipeline(case: Case, folder: Path, workers: int) -> Callable[[], Path]:
    numbers = count()

    def way() -> Path:
        out = folder / f"out-{next(numbers)}"
        settings = DeploySettings(
            data=case.data, out=out, batch_size=BATCH, workers=workers
        )
        deploy(case.models, case.places, settings)
        return out

    return way


def check(case: Case, out: Path) -> None:
    """The pipeline must say what the naive loop says, up to float32's rounding."""
    for name, expected in naive(case).items():
        frame = pd.read_parquet(out / name / "part-00000.parquet")
        found = frame[["logit_WT", "logit_APP"]].to_numpy()
        np.testing.assert_allclose(found, expected, atol=2e-2)


def run(case: Case, folder: Path, rounds: int, workers: int) -> Found:
    way, tensors = pipeline(case, folder, workers), ready(case)
    check(case, way())
    ways = {
        "bare": lambda: bare(case, tensors),
        "deploy": way,
        "naive": lambda: naive(case),
    }
    return timings(ways, rounds), {name: cpu(way) for name, way in ways.items()}


def cpu(way: Callable[[], object]) -> float:
    """Processor milliseconds of all threads, which neighbours disturb less."""
    start = time.process_time()
    way()
    return (time.process_time() - start) * 1000


def line(codec: str, backbone: str, found: Found, images: int) -> str:
    wall, used = found
    rate = {name: images / taken.fastest * 1000 for name, taken in wall.items()}
    return (
        f"| {codec} | {backbone} | {rate['naive']:.1f} | {rate['deploy']:.1f} | "
        f"{rate['bare']:.1f} | {rate['deploy'] / rate['naive']:.1f} | "
        f"{100 * rate['deploy'] / rate['bare']:.0f} % | "
        f"{used['naive'] / images:.1f} | {used['deploy'] / images:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sites", type=int, default=16)
    parser.add_argument("--side", type=int, default=1080)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--backbones", nargs="+", default=["mean", "demo"])
    chosen = parser.parse_args()
    images = chosen.sites * len(TIMES) * len(MARKERS)
    print(
        f"{chosen.sites} sites of 6 pictures {chosen.side} x {chosen.side} uint16, "
        f"three models, {torch.get_num_threads()} torch threads, {chosen.workers} "
        "reading threads; images/s of the fastest round:\n"
    )
    print(
        "| files | network | naive | deploy | bare model | over naive | of bare "
        "| naive, CPU ms an image | deploy, CPU ms an image |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        for title, codec in CODECS.items():
            data = write_plates(Path(name) / title, chosen.sites, chosen.side, codec)
            places = sites(read_plate_csv(data), data)
            for backbone in chosen.backbones:
                case = Case(data, places, *models(backbone))
                folder = Path(name) / f"{title}-{backbone}"
                found = run(case, folder, chosen.rounds, chosen.workers)
                print(line(title, backbone, found, images), flush=True)


if __name__ == "__main__":
    main()
