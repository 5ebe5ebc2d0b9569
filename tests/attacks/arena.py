"""A registry that processes race for, and what they race about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tests.tracking.bundle_files import (
    CONTRACT,
    FLUORESCENCE,
    Logged,
    second_version,
)
from tests.tracking.invariant import problems
from tests.tracking.racing import Race, Step, Told
from tests.tracking.registering import Registry, stored

ROUNDS = int(os.environ.get("NORMGATE_ROUNDS", "3"))
"""How often each race is run."""
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
