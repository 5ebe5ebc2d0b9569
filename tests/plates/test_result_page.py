"""The report: one file that stands alone, says what is undefined, and runs nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from tests.plates.screens import Screen, predicted

from normgate.plates.doses import with_doses
from normgate.plates.report import write_report
from normgate.plates.treatments import AggregateSettings, Analysis, analyse
from normgate.plates.undefined import undefined

if TYPE_CHECKING:
    from pathlib import Path

QUICK = AggregateSettings(bootstrap=100)
DRUGS = {"drug 0.1 uM": 0.1, "drug 1 uM": 0.5, "drug 10 uM": 0.9, "other": 0.0}


class Reader(HTMLParser):
    """Tags that are open, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert not {"onload", "onerror", "onclick"} & set(values)
        if tag == "img":
            assert values["alt"]
            self.pictures.append(str(values["src"]))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(folder: Path, *analyses: Analysis) -> tuple[Reader, str]:
    write_report(analyses, QUICK, folder)
    source = (folder / "report.html").read_text()
    reader = Reader()
    reader.feed(source)
    assert reader.open == []
    assert re.findall(r"https?://|src='(?!data:)|<script|@import|url\(", source) == []
    return reader, " ".join(" ".join(reader.text).split())


def test_a_report_shows_plates_treatments_doses_and_repeats(tmp_path: Path) -> None:
    screen = Screen(controls=8, wells=4, drugs=DRUGS, separation=4.0)
    reader, text = page(tmp_path, analyse(predicted(screen), QUICK))
    assert len(reader.pictures) == 2 + 2 + 3
    assert all(one.startswith("data:image/png;base64,") for one in reader.pictures)
    assert "drug 10 uM on APP" in text
    assert "towards healthy" in text
    assert "Dose response" in text
    assert "plates P1 and P2" in text
    assert "4 of 4 columns hold one treatment each" in text


def test_what_is_undefined_stands_there_with_its_reason(tmp_path: Path) -> None:
    found = analyse(predicted(Screen(separation=0.0, seed=3, plates=1)), QUICK)
    _, text = page(tmp_path, found)
    for what, why in undefined(found):
        assert what in text
        assert " ".join(why.split()) in text
    whats = {one.what for one in undefined(found)}
    assert {
        "rescue on plate P1",
        "residuals on plate P1",
        "agreement of plates",
    } < whats
    assert "No treatment can be judged a hit" in text
    assert "nan" not in text.lower().split()


def test_names_of_users_are_text_and_never_code(tmp_path: Path) -> None:
    predictions = predicted(Screen())
    frame = predictions.frame.replace({"treatment": {"good": "<script>alert(1)"}})
    _, text = page(tmp_path, analyse(replace(predictions, frame=frame), QUICK))
    assert "<script>alert(1) on APP" in text


def test_the_report_is_the_same_every_time(tmp_path: Path) -> None:
    found = analyse(predicted(Screen()), QUICK)
    for name in ("a", "b"):
        write_report([found], QUICK, tmp_path / name)
    one, two = ((tmp_path / n / "report.html").read_bytes() for n in ("a", "b"))
    assert one == two


@pytest.mark.parametrize(
    ("names", "drugs"),
    [
        (["a 1 uM", "a 10 uM", "a 0.1uM"], {"a": [1e-7, 1e-6, 1e-5]}),
        (["b_5nM", "b_50nM", "b_0.5uM"], {"b": [5e-9, 5e-8, 5e-7]}),
        (["c@1ng/mL", "c@2ng/mL", "c@3ng/mL"], {"c": [1e-6, 2e-6, 3e-6]}),
        (["a 1 uM", "a 10 uM"], {}),
        (["plate 1", "x-2", "10 uM", "a 0 uM"], {}),
    ],
    ids=str,
)
def test_doses_are_read_from_names(
    names: list[str], drugs: dict[str, list[float]]
) -> None:
    table = pd.DataFrame({"genotype": "APP", "treatment": names, "rescue": 0.0})
    found = with_doses(table)
    assert set(found["drug"]) == set(drugs)
    for drug, doses in drugs.items():
        np.testing.assert_allclose(found[found["drug"] == drug]["dose"], doses)
