"""Parameters that every training has, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from normgate.errors import SettingsError

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
Finish = Literal["auto", "train", "all"]


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
