"""The best trials again with other seeds: is it a gain, or the luck of one seed?

The best of many trials is the best partly by chance, so its own seed says nothing: a
candidate and the preset are compared over fresh seeds alone, which both share. The
seeds' spread is pooled over all settings, for each has few; a gain below two of these
standard deviations is no gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.engine.tunable import Objective, Setting

Judgement = Literal["gain", "no gain", "loss"]
PRESET = "preset"
FEWEST_SEEDS = 2
DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One setting, trained again."""

    name: str
    """`preset`, or `trial 7`."""
    settings: Mapping[str, Setting]
    metrics: tuple[Mapping[str, float], ...]
    """Of each fresh seed."""

    def mean(self, objective: str) -> float:
        """Over the fresh seeds."""
        return float(np.mean([one[objective] for one in self.metrics]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A candidate against the preset, in one objective."""

    objective: str
    candidate: float
    """Its mean over the fresh seeds."""
    preset: float
    deviation: float
    """The pooled standard deviation of seeds."""
    gain: float
    """Candidate over preset, more is better."""
    judgement: Judgement


def compared(
    candidate: Again,
    preset: Again,
    everyone: Sequence[Again],
    objectives: Sequence[Objective],
) -> tuple[Difference, ...]:
    """Judge a candidate.

    Args:
        candidate: A shortlisted trial.
        preset: What it must be better than.
        everyone: All settings that were trained again; they give the spread.
        objectives: What judges.
    """
    found = []
    for one in objectives:
        deviation = pooled_deviation(everyone, one.name)
        mean, base = candidate.mean(one.name), preset.mean(one.name)
        gain = mean - base if one.larger_is_better else base - mean
        found.append(
            Difference(
                objective=one.name,
                candidate=mean,
                preset=base,
                deviation=deviation,
                gain=gain,
                judgement=judged(gain, deviation),
            )
        )
    return tuple(found)


def judged(gain: float, deviation: float) -> Judgement:
    """Whether a difference of means is more than seeds make."""
    if gain == 0 or not abs(gain) >= DEVIATIONS * deviation:  # NaN is no gain
        return "no gain"
    return "gain" if gain > 0 else "loss"


def pooled_deviation(everyone: Sequence[Again], objective: str) -> float:
    """The standard deviation between seeds of one setting, pooled over settings."""
    squares, degrees = 0.0, 0
    for one in everyone:
        values = np.array([metrics[objective] for metrics in one.metrics])
        squares += float(np.square(values - values.mean()).sum())
        degrees += len(values) - 1
    return float(np.sqrt(squares / degrees)) if degrees else float("nan")


def verdict(differences: Sequence[Difference]) -> str:
    """One sentence over all objectives."""
    kinds = {one.judgement for one in differences}
    named = {
        kind: ", ".join(one.objective for one in differences if one.judgement == kind)
        for kind in kinds
    }
    if "gain" not in kinds:
        worse = f", and it loses in {named['loss']}" if "loss" in kinds else ""
        return (
            "No gain: no objective is better than the preset's by two standard "
            f"deviations of seeds{worse}. Keep the preset."
        )
    if "loss" in kinds:
        return (
            f"A trade: better in {named['gain']}, worse in {named['loss']}, by two "
            "standard deviations of seeds or more."
        )
    rest = f"; no gain in {named['no gain']}" if "no gain" in kinds else ""
    return (
        f"A gain in {named['gain']}, by two standard deviations of seeds or more{rest}."
    )
