from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from tests.plates.screens import Screen, predicted

from normgate.plates import figures
from normgate.plates.figures import safe_name, write_figures
from normgate.plates.report import headline, write_report
from normgate.plates.treatments import AggregateSettings, Analysis, analyse

if TYPE_CHECKING:
    from pathlib import Path

QUICK = AggregateSettings(bootstrap=100)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(predicted(Screen(controls=8)), QUICK)


def test_each_plate_the_controls_and_the_treatments_are_drawn(
    analysis: Analysis, tmp_path: Path
) -> None:
    files = write_figures(analysis, tmp_path)
    names = ["plate-P1.png", "plate-P2.png", "controls.png", "treatments.png"]
    assert [file.name for file in files] == names
    for file in files:
        picture = imread(file)
        assert min(picture.shape[:2]) > 200
        assert float(picture[..., :3].std()) > 0.02


def test_figures_are_the_same_bytes_each_time(
    analysis: Analysis, tmp_path: Path
) -> None:
    for one, two in zip(
        write_figures(analysis, tmp_path / "a"),
        write_figures(analysis, tmp_path / "b"),
        strict=True,
    ):
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("separation", [0.0, -2.0])
def test_plates_without_rescue_are_drawn_by_score(
    tmp_path: Path, separation: float
) -> None:
    found = analyse(predicted(Screen(separation=separation, seed=3)), QUICK)
    names = [file.name for file in write_figures(found, tmp_path)]
    assert names == ["plate-P1.png", "plate-P2.png", "controls.png"]


def test_plates_without_controls_are_drawn(tmp_path: Path) -> None:
    predictions = predicted(Screen())
    frame = predictions.frame.copy()
    frame.loc[frame["plate"] == "P1", "label"] = ""
    found = analyse(replace(predictions, frame=frame), QUICK)
    assert len(write_figures(found, tmp_path / "one")) == 5
    frame["label"] = ""
    found = analyse(replace(predictions, frame=frame), QUICK)
    assert len(write_figures(found, tmp_path / "none")) == 4


def test_many_treatments_are_cut_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drugs = {f"drug-{index}": index / 30 for index in range(30)}
    screen = Screen(plates=1, wells=1, units=2, drugs=drugs)
    found = analyse(predicted(screen), QUICK)
    whole = imread(write_figures(found, tmp_path / "whole")[-1])
    monkeypatch.setattr(figures, "_MOST_ROWS", 12)
    part = imread(write_figures(found, tmp_path / "part")[-1])
    assert whole.shape[0] - part.shape[0] == pytest.approx(18 * 0.22 * 150, abs=2)


def test_the_report_holds_tables_a_summary_and_figures(
    analysis: Analysis, tmp_path: Path
) -> None:
    files = write_report([analysis], QUICK, tmp_path)
    assert all(file.is_file() for file in files)
    names = {str(file.relative_to(tmp_path)) for file in files}
    assert {
        "wells.csv", "plates.csv", "treatments.csv", "plate_treatments.csv",
        "summary.json", "summary.md", "figures/rescue/treatments.png",
    } <= names  # fmt: skip
    wells = pd.read_csv(tmp_path / "wells.csv")
    assert np.array_equal(wells["rescue"], analysis.wells["rescue"])
    text = (tmp_path / "summary.md").read_text()
    assert "| good | APP |" in text
    assert "rescue version 3" in text


def test_the_summary_has_null_where_a_number_is_undefined(tmp_path: Path) -> None:
    found = analyse(predicted(Screen(separation=0.0, seed=3)), QUICK)
    write_report([found], QUICK, tmp_path)
    document = json.loads((tmp_path / "summary.json").read_bytes())
    model = document["models"]["rescue"]
    assert model["spec_digest"] == "a" * 64
    assert model["treatments"][0]["rescue"] is None
    assert "undefined: the control means" in (tmp_path / "summary.md").read_text()
    assert "rescue.best_rescue" not in headline([found])


def test_the_headline_is_finite_and_named_by_model(analysis: Analysis) -> None:
    found = headline([analysis])
    assert found["rescue.defined_plates"] == 2
    assert 0.5 < found["rescue.auroc_wells"] <= 1.0
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize(("name", "safe"), [
    ("P1", "P1"), ("a/b c", "a-b-c"), ("..", "unnamed"),
])  # fmt: skip
def test_names_become_safe_file_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe
