"""What an attack is, and the list of all of them.

An attack is a function that does the harm it can and gives the sentence it was told.
Whether anything got through is not its own judgement: after each one the runner looks
at every protected alias and stage of the models that it touched, and follows them to
bytes. An attack that still works is one too: it is stopped by `Layer.NOTHING`, asserts
its success itself, and says what can be done about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.scene import Scene


class Layer(Enum):
    """What stops an attack; the pattern is what its sentences have in common."""

    STORE = "the store", r"."
    RULES = "the rules", r"Promotion of .* refused: |would not allow|under no contract"
    READER = "the reading of JSON", r"can't be read|not valid|must hold JSON|plain text"
    SEAL = "the seal", r"is sealed|past this server|no logged model of this server"
    TRIGGER = "the database's triggers", r"normgate: "
    READ_SIDE = "the read side", r"not those that were allowed|the gate never allowed"
    CONSUMER = "normgate's own loading", r"."
    SERVER = "`normgate server`", r"."
    MLFLOW = "MLflow itself", r"."
    NOTHING = "nothing", r"."

    def __init__(self, title: str, mark: str) -> None:
        self.title = title
        self.mark = re.compile(mark, re.DOTALL)


class Stage(Enum):
    """Where an attack takes place."""

    SERVED = "a server: `normgate server`"
    EMBEDDED = "no server: the gated store in the attacker's own process"
    ACCOUNTS = "a server with basic-auth and workspaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack, and what is expected of it."""

    slug: str
    """Its registered models are called so."""
    title: str
    holds: str
    """What the attacker has."""
    stopped_by: Layer
    instead: str
    """Of what still works: what one can do about it."""
    on: Stage
    databases: tuple[str, ...]
    """On which it is tried; one is enough where no other statement is sent to it."""
    deed: Callable[[Scene, str], str]


ATTACKS: list[Attack] = []
SQLITE = ("sqlite",)
BOTH = (*SQLITE, "postgresql")

CLIENT = "a client"
STORE_KEY = "a key to the artifact store"
SQL_ACCOUNT = "an account of the database"
PLAIN_MLFLOW = "MLflow without normgate, and the database"
DISK = "the server's disk"
ADMINISTRATOR = "an administrator's rights"
OWNER = "the database's owner"
TRAINER = "a client that trains"


def attack(
    title: str,
    stopped_by: Layer,
    *,
    holds: str = CLIENT,
    on: Stage = Stage.SERVED,
    instead: str = "",
    databases: tuple[str, ...] = BOTH,
    slug: str = "",
) -> Callable[[Callable[[Scene, str], str]], Callable[[Scene, str], str]]:
    """Put a function on the list."""

    def put(deed: Callable[[Scene, str], str]) -> Callable[[Scene, str], str]:
        name = slug or deed.__name__.replace("_", "-")
        assert name not in {one.slug for one in ATTACKS}, name
        assert title not in {one.title for one in ATTACKS}, title
        assert (stopped_by is Layer.NOTHING) == bool(instead), title
        ATTACKS.append(
            Attack(
                slug=name,
                title=title,
                holds=holds,
                stopped_by=stopped_by,
                instead=instead,
                on=on,
                databases=databases,
                deed=deed,
            )
        )
        return deed

    return put
