"""Fresh seeds: what is a gain, and what is luck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.tune.studies import setup
from tests.tune.toy import ToyTunable

from normgate.tune.again import held_out, train_again
from normgate.tune.seeds import (
    Again,
    compared,
    judged,
    pooled_deviation,
    verdict,
)
from normgate.tune.worker import Bench, NullRecorder

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVES = ToyTunable.objectives


def again(name: str, r2: list[float], rough: list[float]) -> Again:
    metrics = tuple({"r2": a, "rough": b} for a, b in zip(r2, rough, strict=True))
    return Again(name=name, settings={}, metrics=metrics)


@pytest.mark.parametrize(
    ("gain", "deviation", "expected"),
    [
        pytest.param(0.2, 0.1, "gain", id="two-deviations-are-enough"),
        pytest.param(0.19, 0.1, "no gain", id="less-is-luck"),
        pytest.param(-0.2, 0.1, "loss", id="loss"),
        pytest.param(0.0, 0.0, "no gain", id="nothing-at-all"),
        pytest.param(0.2, float("nan"), "no gain", id="no-spread-known"),
    ],
)
def test_a_gain_is_two_deviations_of_seeds(
    gain: float, deviation: float, expected: str
) -> None:
    assert judged(gain, deviation) == expected


def test_the_spread_is_pooled_within_settings_and_not_across() -> None:
    everyone = [again("a", [0.0, 0.2], [0, 0]), again("b", [5.0, 5.2], [0, 0])]
    assert pooled_deviation(everyone, "r2") == pytest.approx(0.02**0.5)


@pytest.mark.parametrize(
    ("r2", "rough", "words"),
    [
        pytest.param([0.8, 0.82], [0.5, 0.52], "A gain in r2, rough", id="both"),
        pytest.param([0.8, 0.82], [1.0, 1.02], "no gain in rough", id="one"),
        pytest.param(
            [0.8, 0.82], [2.0, 2.02], "A trade: better in r2, worse", id="trade"
        ),
        pytest.param([0.5, 0.52], [1.0, 1.02], "No gain", id="none"),
        pytest.param([0.5, 0.52], [2.0, 2.02], "it loses in rough", id="worse"),
    ],
)
def test_the_verdict_is_one_sentence(
    r2: list[float], rough: list[float], words: str
) -> None:
    preset = again("preset", [0.5, 0.52], [1.0, 1.02])
    candidate = again("trial 3", r2, rough)
    found = compared(candidate, preset, [preset, candidate], OBJECTIVES)
    assert words in verdict(found)


def test_less_is_a_gain_where_less_is_better() -> None:
    preset = again("preset", [0, 0], [1.0, 1.0])
    candidate = again("trial 3", [0, 0], [0.25, 0.25])
    (_, rough) = compared(candidate, preset, [preset, candidate], OBJECTIVES)
    assert (rough.gain, rough.judgement) == (0.75, "gain")


def test_a_training_that_is_there_is_not_repeated(tmp_path: Path) -> None:
    made = setup(tmp_path, 1)
    bench = Bench(
        tunable=made.tunable,
        space=made.space,
        goal=made.goal,
        seed=0,
        folder=tmp_path / "trials",
    )
    named = {
        "preset": made.space.preset,
        "trial 4": made.space.preset | {"shrink": 1.0},
    }
    first = train_again(bench, NullRecorder(), named, [1, 2])
    assert len(made.tunable.trained) == 4
    assert train_again(bench, NullRecorder(), named, [1, 2]) == first
    assert len(made.tunable.trained) == 4
    assert first[0].metrics[0] != first[0].metrics[1]
    assert len(held_out(bench, first[1], [1, 2])) == 2
