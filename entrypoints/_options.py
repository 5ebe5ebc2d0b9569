"""Parameters that every training has, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import click

from normgate.engine.settings import FitSettings
from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
Finish = Literal["auto", "train", "all"]
Command = TypeVar("Command", bound=Callable[..., Any])
LAST = (
    click.option("--seed", default=0, help="Splits and replicates follow from it."),
    click.option("--out", default="work", help="Where everything is written."),
    click.option("--device", default="auto", help="auto, cpu, cuda or cuda:0."),
    click.option("--finish", default="auto", help="auto, train or all."),
    click.option("--check", default="block", help="Of data: block, warn or off."),
)
"""The last options of every training."""


def decorated(command: Command, options: Sequence[Callable[..., Any]]) -> Command:
    """A command with its own options, in this order, and those of every training."""
    for option in reversed((*options, *LAST)):
        command = option(command)
    return command


def fit_of(options: dict[str, Any]) -> FitSettings:
    """How the first replicate is fitted; each next has the next seed."""
    return FitSettings(
        epochs=options["epochs"],
        seed=options["seed"],
        lr=options["lr"],
        weight_decay=options["weight_decay"],
        batch_size=options["batch_size"],
        stop_on_red=options.get("stop_on_red") or None,
        amp=bool(options.get("amp", 1)),
        device=options["device"],
    )


def finishes(options: dict[str, Any]) -> bool:
    """Whether to go on to promotion and deployment: asked for, or a demonstration.

    Raises:
        SettingsError: `finish` is none of its words.
    """
    finish: str = options["finish"]
    choose("finish", finish, get_args(Finish))
    return finish == "all" or (finish == "auto" and not options["data"])


def check_counts(options: dict[str, Any]) -> None:
    """Refuse replicates and folds that can't be.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
    """
    for name, low, high in (("replicates", 1, 1000), ("folds", 3, 100)):
        if not low <= options[name] <= high:
            raise SettingsError(f"{name} is {options[name]}, expected {low} to {high}")


def choose(name: str, value: str, known: tuple[str, ...]) -> str:
    """Refuse a word that is not known.

    Raises:
        SettingsError: With the parameter, its value and what is expected.
    """
    if value not in known:
        expected = f"{', '.join(known[:-1])} or {known[-1]}"
        raise SettingsError(f"{name} is {value!r}, expected {expected}")
    return value


def given(options: dict[str, Any]) -> Path | None:
    """The data that a user names; None for the demonstration."""
    return Path(options["data"]) if options["data"] else None
