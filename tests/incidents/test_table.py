"""The table of a replay, and outcomes on disk."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
from tests.incidents.tables import table

from normgate.errors import SettingsError
from normgate.gate.vitals import dead_channel, one_class
from normgate.incidents import open_incident
from normgate.incidents.figure import arms_figure
from normgate.incidents.outcome import Outcome, read_outcome, write_outcome
from normgate.incidents.port import Column, Place, chosen_arms
from normgate.incidents.table import markdown, outcomes_csv, summary_csv

if TYPE_CHECKING:
    from pathlib import Path

SCORE = Column(metric="score", title="score", digits=2)


def test_spread_is_over_the_seeds_that_have_a_figure() -> None:
    found = table(a=(1.0, 2.0, math.nan)).spread("a", "score")
    assert (found.mean, found.count) == (1.5, 2)
    assert found.sd == pytest.approx(np.std([1, 2], ddof=1))


def test_markdown_shows_mean_and_deviation_of_each_arm() -> None:
    text = markdown(table(a=(0.5, 0.7), b=(0.1, math.nan), c=(math.nan,)), [SCORE])
    assert text.splitlines()[2:] == [
        "| a | 0.60 ± 0.14 |",
        "| b | 0.10 |",
        "| c | - |",
    ]


def test_the_csvs_hold_every_seed_and_every_mean() -> None:
    both = table(a=(0.5, 0.7), b=(0.1, math.nan))
    rows = list(csv.DictReader(io.StringIO(outcomes_csv(both).decode())))
    assert [(r["arm"], r["seed"], r["score"]) for r in rows] == [
        ("a", "0", "0.5"), ("a", "1", "0.7"), ("b", "0", "0.1"), ("b", "1", ""),
    ]  # fmt: skip
    means = list(csv.DictReader(io.StringIO(summary_csv(both).decode())))
    assert [(r["arm"], r["mean"], r["seeds"]) for r in means] == [
        ("a", "0.6", "2"), ("b", "0.1", "1"),
    ]  # fmt: skip


def test_an_outcome_reads_back_as_it_was_and_only_under_its_own_identity(
    tmp_path: Path,
) -> None:
    outcome = Outcome(
        arm="after",
        seed=2,
        metrics={"auroc": 0.8125, "undefined": math.nan, "endless": math.inf},
        vitals=(dead_channel("HALO_MASKED", 0.0), one_class([], "APP")),
        step=20,
        cpu_s=3.25,
        pictures=("wells.png",),
    )
    write_outcome(tmp_path, "id", outcome)
    found = read_outcome(tmp_path, "id")
    assert found is not None
    assert found.metrics["auroc"] == 0.8125
    assert math.isnan(found.metrics["undefined"])
    assert math.isinf(found.metrics["endless"])
    assert found.vitals[0] == outcome.vitals[0]
    assert math.isnan(found.vitals[1].value)
    assert (found.arm, found.seed, found.step) == ("after", 2, 20)
    assert read_outcome(tmp_path, "other") is None
    assert read_outcome(tmp_path / "absent", "id") is None


def test_the_figure_draws_arms_with_and_without_values(tmp_path: Path) -> None:
    both = table(before=(0.2, 0.3), best=(0.9, 0.8), empty=(math.nan, math.nan))
    path = arms_figure(tmp_path / "arms.png", "a title", both, [SCORE])
    with PIL.Image.open(path) as picture:
        assert picture.width > 300


def test_unknown_names_are_refused_with_those_that_are_known(tmp_path: Path) -> None:
    place = Place(out=tmp_path, specs=tmp_path, size="reduced")
    with pytest.raises(SettingsError, match=r"expected one of .*rescue"):
        open_incident("atlantis", place)
    rescue = open_incident("rescue", place)
    with pytest.raises(SettingsError, match=r"'befor'.*it has before, after, best"):
        chosen_arms(rescue, ["befor"])
    assert chosen_arms(rescue, ["best", "before"]) == ("before", "best")
    assert chosen_arms(rescue, []) == tuple(rescue.arms)
