"""Clients that race each other, in hundreds of rounds.

Set $NORMGATE_ROUNDS to run each race so many times.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.attacks.arena import (
    RACES,
    ROUNDS,
    WHY,
    Arena,
    Lanes,
    another_contract,
    another_pattern,
    check,
    of,
    release,
)
from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    second_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tracking.racing import Step


pytestmark = pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")


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
