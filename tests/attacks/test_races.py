"""Clients that race each other, and servers that are killed, in hundreds of rounds.

Set $NORMGATE_ROUNDS to run each race so many times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mlflow
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    WRONG,
    Logged,
    second_version,
)
from tests.tracking.invariant import problems
from tests.tracking.racing import Race, Racer, Step, Told, racers
from tests.tracking.registering import Registry, opened, stored
from tests.tracking.serving import Serving

from mlflow_normgate.ledger.tables import PROMOTIONS, VERDICTS
from mlflow_normgate.reserved import BIND, binding
from mlflow_normgate.store import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgresql import Postgresql

pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")

ROUNDS = int(os.environ.get("NORMGATE_ROUNDS", "3"))
PLATE, DYE = {"plate version 1", "plate version 2"}, {"fluorescence version 1"}
WHY = "for a race"

Lanes = Sequence[Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Arena:
    """A registry, bundles that are logged in it, and processes that race for it."""

    registry: Registry
    race: Race
    right: tuple[Logged, ...]
    wrong: tuple[Logged, ...]
    fulfilled: dict[str, set[str]]

    def model(self, name: str, *logged: Logged) -> str:
        """A model under the plate contract, with versions of what was logged."""
        self.registry.model(name)
        for one in logged:
            self.registry.register(name, one)
        return name

    def log(self) -> Logged:
        """Log one more right bundle, for a round that spoils it."""
        found = self.registry.logged()
        self.fulfilled[found.location] = PLATE
        return found


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Racer]]:
    with racers(4) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def arena(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    processes: list[Racer],
) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("races")
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("empty_database"), folder / "mlflow.db")
        uri = f"sqlite:///{folder}/mlflow.db"
    else:
        server: Postgresql = request.getfixturevalue("postgresql")
        uri = server.create()
    with opened(uri, folder) as registry:
        right = tuple(registry.logged() for _ in range(2))
        wrong = (registry.logged(WRONG),)
        fulfilled = {one.location: PLATE for one in right}
        fulfilled |= {one.location: DYE for one in wrong}
        yield Arena(registry, Race(uri, processes), right, wrong, fulfilled)
    if request.param == "postgresql":
        server.drop(uri)


def two_versions(arena: Arena, name: str) -> Lanes:
    arena.model(name, *arena.right)
    return [[("alias", name, "champion", number)] for number in ("1", "2")]


def right_and_wrong(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0], arena.wrong[0])
    return [[("alias", name, "champion", number)] for number in ("1", "2")]


def another_contract(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0])
    return [[("alias", name, "champion", "1")], [("bind", name, FLUORESCENCE)]]


def release(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0])
    return [[("alias", name, "champion", "1")], [("bind", name, None)]]


def another_pattern(arena: Arena, name: str) -> Lanes:
    arena.registry.store.bind_contract(name + "*", CONTRACT, WHY)
    arena.registry.model(name, None)
    arena.registry.register(name, arena.right[0])
    return [[("alias", name, "champion", "1")], [("bind", name + "*", FLUORESCENCE)]]


def model_made_meanwhile(arena: Arena, name: str) -> Lanes:
    arena.registry.store.bind_contract(name + "*", CONTRACT, WHY)
    make = [
        ("create", name + "-new"),
        ("register", name + "-new", arena.right[0].source),
        ("alias", name + "-new", "champion", "1"),
    ]
    return [make, [("bind", name + "*", FLUORESCENCE)]]


def files_swapped(arena: Arena, name: str) -> Lanes:
    logged = arena.log()
    arena.model(name, logged)
    file = stored(logged) / "artifacts" / "bundle" / "card.json"
    return [[("alias", name, "champion", "1")], [("swap", str(file), b"{}")]]


def made_anew(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0])
    anew = [
        ("delete", name),
        ("create", name),
        ("register", name, arena.wrong[0].source),
    ]
    return [[("alias", name, "champion", "1")], anew]


def made_anew_of_a_prompt(arena: Arena, name: str) -> Lanes:
    arena.registry.store.create_prompt(name)
    arena.registry.store.create_prompt_version(name, "Say {{word}}.")
    anew = [
        ("delete", name),
        ("create", name),
        ("register", name, arena.wrong[0].source),
    ]
    return [[("alias", name, "champion", "1")], anew]


def renamed(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0])
    arena.registry.store.bind_contract(name + "-new", FLUORESCENCE, WHY)
    return [[("alias", name, "champion", "1")], [("rename", name, name + "-new")]]


def renamed_and_bound(arena: Arena, name: str) -> Lanes:
    arena.model(name, arena.right[0])
    arena.registry.client.set_registered_model_alias(name, "champion", "1")
    return [[("rename", name, name + "-new")], [("bind", name + "-new", FLUORESCENCE)]]


def taken_away(arena: Arena, name: str) -> Lanes:
    arena.model(name, *arena.right)
    arena.registry.client.set_registered_model_alias(name, "champion", "1")
    return [
        [("unalias", name, "champion")],
        [("bind", name, second_version())],
        [("alias", name, "champion", "2")],
    ]


def archived(arena: Arena, name: str) -> Lanes:
    arena.model(name, *arena.right)
    arena.registry.client.transition_model_version_stage(name, "1", "Production")
    return [
        [("stage", name, "2", "Production", True)],
        [("bind", name, second_version())],
        [("stage", name, "1", "Archived")],
    ]


def version_deleted(arena: Arena, name: str) -> Lanes:
    arena.model(name, *arena.right)
    arena.registry.client.set_registered_model_alias(name, "champion", "1")
    arena.registry.client.transition_model_version_stage(name, "1", "Production")
    return [
        [("delete version", name, "1")],
        [("bind", name, second_version())],
        [("alias", name, "champion", "2")],
        [("describe", name, "1", "mine"), ("tag", name, "1", "2")],
    ]


def model_deleted(arena: Arena, name: str) -> Lanes:
    arena.model(name, *arena.right)
    arena.registry.client.set_registered_model_alias(name, "champion", "1")
    arena.registry.client.transition_model_version_stage(name, "1", "Production")
    return [
        [("delete", name)],
        [("bind", name, second_version())],
        [("alias", name, "champion", "2")],
        [("tag model", name, "1"), ("stage", name, "2", "Staging")],
    ]


RACES = (
    two_versions,
    right_and_wrong,
    another_contract,
    release,
    another_pattern,
    model_made_meanwhile,
    files_swapped,
    made_anew,
    made_anew_of_a_prompt,
    renamed,
    renamed_and_bound,
    taken_away,
    archived,
    version_deleted,
    model_deleted,
)


def of(told: Sequence[Sequence[Told]]) -> list[Told]:
    return [one for lane in told for one in lane]


def check(arena: Arena, name: str, told: Sequence[Sequence[Told]]) -> None:
    """Nothing unallowed stands, and nobody was told that the server failed."""
    assert problems(arena.registry.store, arena.fulfilled, beginning=name) == []
    assert [one for one in of(told) if one.status >= 500] == []


@pytest.mark.parametrize("prepare", RACES)
def test_whoever_wins_nothing_unallowed_stands(
    arena: Arena, tmp_path: Path, prepare: Callable[[Arena, str], Lanes]
) -> None:
    for number in range(ROUNDS):
        name = f"{tmp_path.name}-{number}-"
        check(arena, name, arena.race.run(*prepare(arena, name)))


@pytest.mark.parametrize("prepare", [another_contract, release, another_pattern])
def test_of_a_promotion_and_a_change_of_contract_one_is_refused(
    arena: Arena, tmp_path: Path, prepare: Callable[[Arena, str], Lanes]
) -> None:
    for number in range(ROUNDS):
        name = f"{tmp_path.name}-{number}-"
        told = of(arena.race.run(*prepare(arena, name)))
        assert sorted(one.status for one in told) == [200, 403]
        held = "champion" in arena.registry.aliases(name)
        assert held == (arena.registry.contract(name) == "plate version 1")


def test_the_same_request_from_all_sides_is_one_verdict(
    arena: Arena, tmp_path: Path
) -> None:
    for number in range(ROUNDS):
        name = arena.model(f"{tmp_path.name}-{number}-", arena.right[0])
        same = [("alias", name, "champion", "1")] * 2
        told = arena.race.run(same, same, same, same)
        check(arena, name, told)
        assert {one.status for one in of(told)} == {200}
        assert len(arena.registry.verdicts(name)) == 1


def test_an_alias_is_resolved_while_it_is_moved(arena: Arena, tmp_path: Path) -> None:
    name = arena.model(tmp_path.name, *arena.right)
    arena.registry.client.set_registered_model_alias(name, "champion", "1")
    moves = [("alias", name, "champion", number) for number in "21"] * 3 * ROUNDS
    resolves = [("resolve", name, "champion")] * 8 * ROUNDS
    told = arena.race.run(moves, resolves, resolves, resolves)
    check(arena, name, told)
    assert [one for one in of(told) if one.error] == []


def test_every_refusal_is_recorded(arena: Arena, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        name = arena.model(f"{tmp_path.name}-{number}-", arena.wrong[0])
        same = [("alias", name, "champion", "1")] * 2
        told = of(arena.race.run(same, same, same, same))
        assert {one.status for one in told} == {403}
        assert len(arena.registry.verdicts(name)) == len(told)


def test_a_model_made_meanwhile_shows_its_contract(
    arena: Arena, tmp_path: Path
) -> None:
    for number in range(ROUNDS):
        name = f"{tmp_path.name}-{number}-"
        told = arena.race.run(
            [("create", name + "a")], [("bind", name + "*", CONTRACT)]
        )
        assert {one.status for one in of(told)} == {200}
        assert arena.registry.contract(name + "a") == "plate version 1"


def any_step(arena: Arena, name: str, luck: random.Random) -> Step:
    """One of all that clients do, on one of two models."""
    model = f"{name}{luck.choice('ab')}"
    other = f"{name}{luck.choice('abc')}"
    version, alias = luck.choice("123"), luck.choice(["champion", "best", "candidate"])
    stage = luck.choice(["Production", "Staging", "Archived", "None"])
    logged = luck.choice([*arena.right, *arena.wrong])
    contract = luck.choice([CONTRACT, second_version(), FLUORESCENCE, None])
    pattern = luck.choice([model, name + "*", name + "?"])
    steps: list[Step] = [
        ("alias", model, alias, version),
        ("alias", model, alias, version),
        ("unalias", model, alias),
        ("stage", model, version, stage, stage[0] in "PS" and luck.random() < 0.5),
        ("bind", pattern, contract),
        ("register", model, logged.source),
        ("rename", model, other),
        ("delete version", model, version),
        ("describe", model, version, "mine"),
        ("tag", model, version, alias),
        ("tag model", model, alias),
        ("resolve", model, alias),
    ]
    steps += [("delete", model), ("create", model)] * (luck.random() < 0.3)
    return luck.choice(steps)


def test_in_a_crowd_nothing_unallowed_stands(arena: Arena, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        name = f"{tmp_path.name}-{number}-"
        luck = random.Random(number)
        arena.registry.store.bind_contract(name + "*", CONTRACT, WHY)
        for letter in "ab":
            arena.registry.model(name + letter, None)
            for logged in (*arena.right, *arena.wrong):
                arena.registry.register(name + letter, logged)
        lanes = [[any_step(arena, name, luck) for _ in range(8)] for _ in range(4)]
        check(arena, name, arena.race.run(*lanes))


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
