"""The search space of a study: a family's weights, narrowed or fixed by a user.

`kld_scale=1e-4:1e-2` gives a range (`:log` or `:linear` after it a scale), and
`kld_scale=0.001` fixes the weight there; `aggregation=mean,median` narrows a choice,
and `aggregation=median` fixes it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import optuna

    from normgate.engine.tunable import Choice, Searchable, Setting, Weight
    from normgate.tune.goal import Goal

_SCALES = {"log": True, "linear": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a study searches, and where everything else stands."""

    weights: tuple[Weight, ...]
    """The searched ones."""
    choices: tuple[Choice, ...] = ()
    """The searched ones; with the weights at least one."""
    fixed: Mapping[str, Setting]
    """The others of the family, and the gauge."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of everything that is searched."""
        return _names(self.weights, self.choices)

    @property
    def preset(self) -> dict[str, Setting]:
        """The settings that a gain is measured against."""
        numbers = {one.name: one.default for one in self.weights}
        chosen = {one.name: one.default for one in self.choices}
        return {**self.fixed, **numbers, **chosen}

    @property
    def first(self) -> dict[str, Setting] | None:
        """What the first trial searches: the preset; None where it is out of reach."""
        within = all(one.low <= one.default <= one.high for one in self.weights)
        among = all(one.default in one.options for one in self.choices)
        preset = self.preset
        return {name: preset[name] for name in self.names} if within and among else None

    def suggested(self, trial: optuna.Trial) -> dict[str, Setting]:
        """One trial's settings."""
        numbers = {
            one.name: trial.suggest_float(one.name, one.low, one.high, log=one.log)
            for one in self.weights
        }
        chosen = {
            one.name: trial.suggest_categorical(one.name, one.options)
            for one in self.choices
        }
        return {**self.fixed, **numbers, **chosen}

    def complete(self, searched: Mapping[str, Setting]) -> dict[str, Setting]:
        """A trial's parameters together with what is fixed."""
        return {**self.fixed, **searched}

    def document(self) -> dict[str, Any]:
        """The space as plain JSON values."""
        ranges = {
            one.name: {
                key: value
                for key, value in asdict(one).items()
                if key in {"low", "high", "log", "default"}
            }
            for one in self.weights
        }
        ranges |= {
            one.name: {"options": list(one.options), "default": one.default}
            for one in self.choices
        }
        return {"searched": ranges, "fixed": dict(self.fixed)}


def space_of(tunable: Searchable, given: Mapping[str, str], goal: Goal) -> Space:
    """A family's space as a user wants it.

    Args:
        tunable: The family.
        given: Range or value of some weights, and words of choices, as text.
        goal: What judges; a choice that changes none of its objectives stays as it is.

    Raises:
        SettingsError: With the weight, what was given and what is expected.
    """
    for name in given:
        _check_name(name, tunable)
    fixed: dict[str, Setting] = dict(tunable.gauge)
    weights, choices = [], []
    for weight in tunable.weights:
        text = given.get(weight.name, "")
        if text and ":" not in text:
            fixed[weight.name] = _number(weight, text, text)
        else:
            weights.append(_ranged(weight, text) if text else weight)
    for choice in tunable.choices:
        options = _options(choice, given.get(choice.name, ""), goal)
        if len(options) == 1:
            fixed[choice.name] = options[0]
        else:
            choices.append(replace(choice, options=options))
    if not weights and not choices:
        raise SettingsError(
            f"everything of {tunable.family} is fixed, so there is nothing to search; "
            f"give one of {', '.join(_names(tunable.weights, ()))} a range as low:high"
        )
    return Space(weights=tuple(weights), choices=tuple(choices), fixed=fixed)


def _options(choice: Choice, text: str, goal: Goal) -> tuple[str, ...]:
    """The words of a choice that are searched; one alone fixes it."""
    if not text:
        judged = any(one.name in choice.judges for one in goal.objectives)
        return choice.options if judged else (choice.default,)
    found = tuple(part.strip() for part in text.split(","))
    if len(set(found)) < len(found) or set(found) - set(choice.options):
        raise SettingsError(
            f"{choice.name} is {text!r}, expected some of {', '.join(choice.options)}, "
            "each once: one to fix it, several with commas to search"
        )
    if len(found) > 1 and not any(one.name in choice.judges for one in goal.objectives):
        raise SettingsError(
            f"{choice.name} can't be searched, for it changes none of the objectives "
            f"{', '.join(one.name for one in goal.objectives)}; add one of "
            f"{', '.join(choice.judges)}, or fix it as {choice.name}={choice.default}"
        )
    return found


def _names(weights: Iterable[Weight], choices: Iterable[Choice]) -> tuple[str, ...]:
    return *(one.name for one in weights), *(one.name for one in choices)


def _check_name(name: str, tunable: Searchable) -> None:
    if name in tunable.gauge:
        raise SettingsError(
            f"{name} can't be searched: it is the gauge, fixed at "
            f"{tunable.gauge[name]:g}, for a loss times a constant trains the same "
            "model; search the weights beside it"
        )
    known = _names(tunable.weights, tunable.choices)
    if name not in known:
        raise SettingsError(
            f"{tunable.family} has no weight {name!r}; it has {', '.join(known)}"
        )


def _ranged(weight: Weight, text: str) -> Weight:
    parts = text.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in _SCALES):
        raise SettingsError(
            f"{weight.name} is {text!r}, expected low:high, low:high:log or "
            "low:high:linear"
        )
    low, high = (_number(weight, part, text) for part in parts[:2])
    log = _SCALES[parts[2]] if len(parts) == 3 else weight.log
    if low >= high:
        raise SettingsError(
            f"{weight.name} is {text!r}: its low end {low:g} is not below its high "
            f"end {high:g}; write low:high"
        )
    if log and low <= 0:
        raise SettingsError(
            f"{weight.name} is {text!r}: a logarithmic scale can't begin at {low:g}; "
            f"give a low end above 0, or {low:g}:{high:g}:linear"
        )
    return replace(weight, low=low, high=high, log=log)


def _number(weight: Weight, text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not weight.least <= value <= weight.most:
        raise SettingsError(
            f"{weight.name} is {whole!r}, expected numbers from {weight.least:g} to "
            f"{weight.most:g}: one to fix it, or low:high to search"
        )
    return value
