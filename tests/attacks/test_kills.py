"""Servers that are killed in a promotion, and one that is asked from all sides."""

from __future__ import annotations

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mlflow
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from tests.attacks.arena import DYE, PLATE, ROUNDS, WHY, Arena, check
from tests.tracking.bundle_files import (
    FLUORESCENCE,
    WRONG,
    second_version,
)
from tests.tracking.invariant import problems
from tests.tracking.racing import Step, racers
from tests.tracking.registering import Registry
from tests.tracking.serving import Serving

from mlflow_normgate.ledger.tables import PROMOTIONS, VERDICTS
from mlflow_normgate.reserved import BIND, binding
from mlflow_normgate.store import build

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")

KILLED = ["verdict", "alias", "commit"]


def held(arena: Arena, name: str) -> tuple[int, int]:
    """How many promotions and verdicts the ledger has of a model."""
    with arena.registry.store.ManagedSessionMaker() as session:
        counts = [
            session.connection().scalar(
                sa.select(sa.func.count()).where(table.c.name == name)
            )
            for table in (PROMOTIONS, VERDICTS)
        ]
    return int(counts[0] or 0), int(counts[1] or 0)


@pytest.mark.parametrize("target", ["champion", "Production"])
@pytest.mark.parametrize("moment", [*KILLED, "committed"])
def test_a_server_that_is_killed_leaves_all_of_a_promotion_or_nothing(
    arena: Arena, tmp_path: Path, moment: str, target: str
) -> None:
    name = arena.model(tmp_path.name, arena.right[0])
    promote: Step = ("alias", name, target, "1")
    if target == "Production":
        promote = ("stage", name, "1", target)
    with racers(1) as (victim,):
        victim.start(arena.race.uri, [("be killed", moment), promote], 0.0)
        assert victim.end() is None
    there = moment == "committed"
    assert held(arena, name) == (there, there)
    assert problems(arena.registry.store, arena.fulfilled, beginning=name) == []
    version = arena.registry.client.get_model_version(name, "1")
    assert (version.current_stage == target or target in version.aliases) == there
    check(arena, name, arena.race.run([promote]))
    assert held(arena, name) == (1, 1)


def ask(uri: str, path: str, method: str, body: dict[str, object]) -> int:
    """Send one request, as it is and once, and give the status of the answer."""
    place = urlsplit(uri)
    with closing(
        HTTPConnection(str(place.hostname), place.port, timeout=60)
    ) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"/api/2.0/mlflow/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.mark.slow
def test_a_server_of_two_workers_is_asked_from_all_sides(tmp_path: Path) -> None:
    off = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = Serving(tmp_path, ["--workers", "2"], **off)
    try:
        asked, stood = from_all_sides(server.uri, tmp_path)
    finally:
        server.kill()
    assert set(asked) <= {200, 400, 403, 404}
    assert asked[200]
    assert asked[403]
    assert stood == []


def from_all_sides(uri: str, folder: Path) -> tuple[Counter[int], list[str]]:
    """Ask for everything at once; what was answered, and what stands unallowed."""
    registry = Registry(MlflowClient(uri), folder)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        right, wrong = registry.logged(), registry.logged(WRONG)
        name = registry.model("model")
        for logged in (right, wrong, right):
            registry.register(name, logged)
    finally:
        mlflow.set_tracking_uri(before)
    alias = {"name": name, "alias": "champion"}
    stage = {"stage": "Production", "archive_existing_versions": True}
    other = {"key": BIND, "value": binding(FLUORESCENCE, WHY)}
    same = {"key": BIND, "value": binding(second_version(), WHY)}
    requests = [
        *(
            ("registered-models/alias", "POST", {**alias, "version": version})
            for version in "123"
        ),
        ("registered-models/alias", "DELETE", alias),
        *(
            ("model-versions/transition-stage", "POST",
             {"name": name, "version": version, **stage})
            for version in "123"
        ),
        ("registered-models/set-tag", "POST", {"name": name, **other}),
        ("registered-models/set-tag", "POST", {"name": name, **same}),
    ]  # fmt: skip
    luck = random.Random(0)
    chosen = [luck.choice(requests) for _ in range(60 * ROUNDS)]
    with ThreadPoolExecutor(6) as pool:
        asked = Counter(pool.map(lambda one: ask(uri, *one), chosen))
    store = build(f"sqlite:///{folder}/mlflow.db")
    fulfilled = {right.location: PLATE, wrong.location: DYE}
    return asked, problems(store, fulfilled)
