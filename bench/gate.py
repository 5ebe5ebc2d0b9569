"""What the gate costs: a registry's calls through MLflow's own store and through ours.

Run it as `python bench/gate.py`. Both registries are databases of their own, SQLite
files unless `--databases` names two empty ones; calls take turns. Promotions move an
alias between two versions, so each is decided on, hashed anew and written down. The
bundle has two members; its weights are a few bytes, or as many MiB as `--size` says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._model_registry.utils import _get_store_registry
from safetensors.numpy import save_file
from timing import ratio, timings

from mlflow_normgate import modelfiles
from mlflow_normgate.bundles import log_bundle
from mlflow_normgate.store import build
from normgate.contract import contract_for, read_spec, spec_digest, to_json
from normgate.gate.vitals import channel_std
from normgate.plates.geometry import Geometry
from normgate.plates.probe import expected_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from timing import Timing

ROOT = Path(__file__).resolve().parents[1]
SPEC = read_spec(ROOT / "contracts" / "specs" / "plate_3ch.json")
GEOMETRY = Geometry(kind="tile", window=8, size=8)
PLAIN, GATED = "plain+", "normgate+"
NAMES = ("tiny", "large")


@dataclass(frozen=True)
class Case:
    """One operation, on either registry."""

    title: str
    ungated: Callable[[], object]
    gated: Callable[[], object]


def write_bundle(bundle: Path, weights: int) -> Path:
    """Write a bundle that keeps every promise, of networks that say nothing.

    Args:
        bundle: Where.
        weights: float32 values of each of its two members.
    """
    (bundle / "members").mkdir(parents=True)
    marks = {
        "spec_digest": spec_digest(SPEC),
        "applied_fingerprint": expected_fingerprint(SPEC, GEOMETRY),
    }
    rng = np.random.default_rng(0)
    for number in range(2):
        values = {"head.weight": rng.random(weights, dtype=np.float32)}
        save_file(values, bundle / "members" / f"{number:02d}.safetensors", marks)
    (bundle / "spec.json").write_bytes(to_json(SPEC))
    card = {
        "format": "normgate.card/1",
        "family": "plate",
        "classes": ["WT", "APP"],
        "positive": "APP",
        "geometry": GEOMETRY.to_json(),
        "members": [{"replicate": 0}, {"replicate": 1}],
        "metrics": {},
        "vitals": [channel_std(name, 1.0).record() for name in SPEC.names],
    }
    (bundle / "card.json").write_text(json.dumps(card))
    files = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }
    manifest = {"format": "normgate.manifest/1", "files": files}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def prepare(folder: Path, databases: list[str], size: int) -> tuple[MlflowClient, ...]:
    """Two registries with two versions of each model: MLflow's own, and a gated one."""
    schemes = _get_store_registry()
    for scheme in ("sqlite", "postgresql"):
        schemes.register(PLAIN + scheme, plain_store)
    plain, gated = (
        MlflowClient(databases[1], scheme + database)
        for scheme, database in zip((PLAIN, GATED), databases, strict=True)
    )
    mlflow.set_tracking_uri(databases[1])
    experiment = gated.create_experiment("gate", (folder / "artifacts").as_uri())
    store = build(GATED + databases[1])
    for name, weights in zip(NAMES, (8, size * 1024**2 // 8), strict=True):
        bundle = write_bundle(folder / name / "bundle", weights)
        run = gated.create_run(experiment).info.run_id
        logged = log_bundle(bundle, run_id=run, registered_name=name)
        plain.create_registered_model(name)
        for client in (plain, plain, gated):
            client.create_model_version(name, f"models:/{logged.model_id}")
        store.bind_contract(name, contract_for(SPEC, name="plate"), "for a benchmark")
    return plain, gated


def plain_store(store_uri: str, **_: object) -> SqlAlchemyStore:
    return SqlAlchemyStore(store_uri.removeprefix(PLAIN))


def cases(plain: MlflowClient, gated: MlflowClient, size: int) -> list[Case]:
    """What is timed, in the order of the table."""
    source = {name: gated.get_model_version(name, "1").source for name in NAMES}

    def case(title: str, way: Callable[[MlflowClient], Callable[[], object]]) -> Case:
        return Case(title, way(plain), way(gated))

    def move(name: str, alias: str) -> Callable[[MlflowClient], Callable[[], object]]:
        def way(client: MlflowClient) -> Callable[[], object]:
            versions = cycle("12")
            return lambda: client.set_registered_model_alias(
                name, alias, next(versions)
            )

        return way

    def repeat(client: MlflowClient) -> Callable[[], object]:
        return lambda: client.set_registered_model_alias("tiny", "again", "1")

    def register(name: str) -> Callable[[MlflowClient], Callable[[], object]]:
        return lambda client: lambda: client.create_model_version(name, source[name])

    def resolve(
        name: str, alias: str, *, anew: bool = False
    ) -> Callable[[MlflowClient], Callable[[], object]]:
        def way(client: MlflowClient) -> Callable[[], object]:
            def call() -> object:
                if anew:
                    modelfiles._known = modelfiles.KnownDigests(1)
                return client.get_model_version_by_alias(name, alias)

            return call

        return way

    for client in (plain, gated):
        for name in NAMES:
            client.set_registered_model_alias(name, "candidate", "1")
            client.set_registered_model_alias(name, "stands", "1")
    large = f"{size} MiB"
    return [
        case("set an open alias", move("tiny", "candidate")),
        case("promote, tiny bundle", move("tiny", "champion")),
        case("promote again what is promoted, tiny", repeat),
        case(f"promote, {large}", move("large", "champion")),
        case("register, tiny bundle", register("tiny")),
        case(f"register, {large}", register("large")),
        case("resolve an open alias", resolve("tiny", "candidate")),
        case("resolve a promoted alias, tiny bundle", resolve("tiny", "stands")),
        case(f"resolve, {large}, unchanged", resolve("large", "stands")),
        case(f"resolve, {large}, read anew", resolve("large", "stands", anew=True)),
    ]


def line(title: str, ungated: Timing, gated: Timing) -> str:
    return (
        f"| {title} | {ungated} | {gated} | {gated.median - ungated.median:.3g} | "
        f"{gated.fastest - ungated.fastest:.3g} | {ratio(gated, ungated)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=100, help="MiB of weights")
    parser.add_argument("--databases", nargs=2, metavar=("UNGATED", "GATED"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [f"sqlite:///{folder}/{title}.db" for title in ("ungated", "gated")]
        clients = prepare(folder, chosen.databases or files, chosen.size)
        print(
            "| call | ungated, median ms | fastest | gated, median ms | fastest | "
            "added, median | added, fastest | ratio |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        for one in cases(*clients, chosen.size):
            ways = {"ungated": one.ungated, "gated": one.gated}
            found = timings(ways, chosen.rounds)
            print(line(one.title, found["ungated"], found["gated"]), flush=True)


if __name__ == "__main__":
    main()
