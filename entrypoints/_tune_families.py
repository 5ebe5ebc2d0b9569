"""The families that `tune` knows: from parameters to something that can be trained.

A family's builder takes the parameters of its training entry as text. Those that are
weights with a range, or fixed ones, stay with the study; the rest it checks itself.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from normgate.engine.tunable import Searchable, Setting, Tunable


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One family with its data."""

    tunable: Tunable
    given: Mapping[str, str]
    """Ranges and values of weights, words of choices, as text."""
    data: Path | None
    """The table of inputs, where there is one."""
    entry: str
    """The training entry that a chosen trial is trained by."""
    training: Mapping[str, str]
    """That entry's parameters besides those that may be searched."""

    def command(self, settings: Mapping[str, Setting], replicates: int) -> str:
        """The command that trains settings anew and registers the model."""
        gauge = self.tunable.gauge
        chosen = {name: str(v) for name, v in settings.items() if name not in gauge}
        values = {**self.training, **chosen, "replicates": str(replicates)}
        passed = " ".join(f"-P {k}={shlex.quote(v)}" for k, v in values.items())
        return f"mlflow run . -e {self.entry} {passed}"


class Check(Protocol):
    """Refuses what can't be searched or judged by."""

    def __call__(self, terms: Searchable, given: Mapping[str, str]) -> None:
        """Look at ranges, values and words of what may be searched, given as text."""


class Builder(Protocol):
    """Makes one family ready."""

    def __call__(
        self, training: Mapping[str, str], out: Path, seed: int, check: Check
    ) -> Prepared:
        """Check parameters, then read data and prepare units."""


def _plate() -> Builder:
    from _tune_plate import prepared

    return prepared


def _fusion() -> Builder:
    from _tune_fusion import prepared

    return prepared


def _imc() -> Builder:
    from _tune_imc import prepared

    return prepared


FAMILIES: dict[str, Callable[[], Builder]] = {
    "plate": _plate,
    "fusion": _fusion,
    "imc": _imc,
}
_OWN = {"data", "replicates", "finish", "out", "seed"}
"""Parameters of a training entry that the study, or a final training, sets itself."""


def unchecked(terms: Searchable, given: Mapping[str, str]) -> None:
    """Accept what another process has checked."""


def prepared(
    family: str,
    training: Mapping[str, str],
    out: Path,
    seed: int,
    check: Check = unchecked,
) -> Prepared:
    """Make a family ready.

    Args:
        family: Its name.
        training: Parameters of its training entry, weights and ranges among them.
        out: Where everything is written.
        seed: Of the split.
        check: Asked before any data are read.

    Raises:
        SettingsError: There is no such family, or a parameter is not right.
    """
    if family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise SettingsError(f"family is {family!r}, expected one of {known}")
    return FAMILIES[family]()(training, out, seed, check)


def typed(
    decorate: Callable[[Any], Any],
    training: Mapping[str, str],
    weights: tuple[str, ...],
    family: str,
) -> dict[str, Any]:
    """The options of a training entry with some of them given as text.

    Args:
        decorate: What gives the entry its options.
        training: The given ones.
        weights: Names of those that a study may search; they keep their defaults.
        family: For the refusal.

    Raises:
        SettingsError: An option is unknown, or its value is of another type.
    """
    command = click.command()(decorate(lambda **_: None))
    known = {option.name: option for option in command.params if option.name}
    context = click.Context(command)
    found = {name: option.get_default(context) for name, option in known.items()}
    for name, text in training.items():
        if name in weights:
            continue
        if name not in known:
            raise SettingsError(
                f"{family} has neither a weight nor a parameter {name!r}; its weights "
                f"are {', '.join(weights)}, its parameters {', '.join(known)}"
            )
        try:
            found[name] = known[name].type_cast_value(context, text)
        except click.BadParameter as error:
            raise SettingsError(f"{name} is {text!r}: {error.message}") from error
    return found


def passed_on(
    training: Mapping[str, str], weights: tuple[str, ...], data: Path
) -> dict[str, str]:
    """The parameters that a final training has from the study, besides weights."""
    own = {k: v for k, v in training.items() if k not in _OWN and k not in weights}
    return {"data": str(data), **own}
