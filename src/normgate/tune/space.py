"""The search space of a study: a family's weights, narrowed or fixed by a user.

`kld_scale=1e-4:1e-2` gives a range (`:log` or `:linear` after it a scale), and
`kld_scale=0.001` fixes the weight there.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from normgate.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

    from normgate.engine.tunable import Searchable, Weight

_SCALES = {"log": True, "linear": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a study searches, and where everything else stands."""

    weights: tuple[Weight, ...]
    """The searched ones, at least one."""
    fixed: Mapping[str, float]
    """The others of the family, and the gauge."""

    @property
    def preset(self) -> dict[str, float]:
        """The settings that a gain is measured against."""
        return {**self.fixed, **{one.name: one.default for one in self.weights}}

    @property
    def begins_with_preset(self) -> bool:
        """Whether every default lies within its range, so that a trial can have it."""
        return all(one.low <= one.default <= one.high for one in self.weights)

    def suggested(self, trial: optuna.Trial) -> dict[str, float]:
        """One trial's settings."""
        found = {
            one.name: trial.suggest_float(one.name, one.low, one.high, log=one.log)
            for one in self.weights
        }
        return {**self.fixed, **found}

    def complete(self, searched: Mapping[str, float]) -> dict[str, float]:
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
        return {"searched": ranges, "fixed": dict(self.fixed)}


def space_of(tunable: Searchable, given: Mapping[str, str]) -> Space:
    """A family's space as a user wants it.

    Args:
        tunable: The family.
        given: Range or value of some weights, as text.

    Raises:
        SettingsError: With the weight, what was given and what is expected.
    """
    known = {one.name: one for one in tunable.weights}
    for name in given:
        _check_name(name, tunable)
    fixed = dict(tunable.gauge)
    weights = []
    for name, weight in known.items():
        text = given.get(name, "")
        if text and ":" not in text:
            fixed[name] = _number(weight, text, text)
        else:
            weights.append(_ranged(weight, text) if text else weight)
    if not weights:
        raise SettingsError(
            f"every weight of {tunable.family} is fixed, so there is nothing to "
            f"search; give at least one of {', '.join(known)} a range as low:high"
        )
    return Space(weights=tuple(weights), fixed=fixed)


def _check_name(name: str, tunable: Searchable) -> None:
    if name in tunable.gauge:
        raise SettingsError(
            f"{name} can't be searched: it is the gauge, fixed at "
            f"{tunable.gauge[name]:g}, for a loss times a constant trains the same "
            "model; search the weights beside it"
        )
    names = [one.name for one in tunable.weights]
    if name not in names:
        raise SettingsError(
            f"{tunable.family} has no weight {name!r}; it has {', '.join(names)}"
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
