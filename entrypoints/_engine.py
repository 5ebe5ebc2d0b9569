"""The parameters that say which engine does the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from normgate.cluster.engine import checked

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Engine:
    """What was asked for."""

    name: str
    address: str

    def __post_init__(self) -> None:
        """Refuse, before any work, what can't be meant."""
        checked(self.name, self.address)


def with_engine(command: Command) -> Command:
    """A command that may be given to Ray."""
    command = click.option(
        "--ray-address",
        "--ray_address",
        default="",
        help="Of a running Ray cluster; empty to start one here.",
    )(command)
    return click.option("--engine", default="local", help="local or ray.")(command)
