"""What wells hold: column rules and plate maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from normgate.errors import DataError, SettingsError
from normgate.plates.platemap import Content, parse_column_rule, read_platemap
from normgate.plates.wells import parse_well

if TYPE_CHECKING:
    from pathlib import Path


def test_a_rule_names_columns_and_ranges() -> None:
    rule = parse_column_rule("1-2=WT,3-4=APP")
    assert rule.content("P", parse_well("B02")) == Content(genotype="WT", label="WT")
    assert rule.content("P", parse_well("H04")).label == "APP"
    assert rule.content("P", parse_well("H05")) == Content()
    several = parse_column_rule("1,6=WT, 7,12=Null")
    assert [c for c in range(1, 13) if several.columns.get(c)] == [1, 6, 7, 12]
    assert several.content("P", parse_well("F12")).genotype == "Null"


@pytest.mark.parametrize(
    "text",
    ["", "1-2", "1-2=", "x=WT", "0=WT", "2-1=WT", "1=WT,1=APP", "49=WT", "B2=WT"],
)
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_column_rule(text)


def test_a_map_names_wells(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text(
        "plate,well,genotype,treatment\nP1,b2,WT,vehicle\nP1,B03,APP,drug-01\n,C01,WT,\n"
    )
    found = read_platemap(path)
    wells = [parse_well(name) for name in ("B02", "B03", "C01")]
    assert [found.content("P1", well).label for well in wells] == ["WT", "", "WT"]
    assert found.content("P1", wells[1]).treatment == "drug-01"
    assert found.content("P9", wells[2]).genotype == "WT"
    with pytest.raises(DataError, match=r"map\.csv does not name plate P9 well B02"):
        found.content("P9", wells[0])


def test_a_label_column_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("well,genotype,label\nA1,WT,healthy\nA2,WT,\n")
    found = read_platemap(path)
    assert found.content("P", parse_well("A1")).label == "healthy"
    assert found.content("P", parse_well("A2")).label == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name,genotype\nA1,WT\n", "expected well"),
        ("well,genotype\nA1,WT\nA01,APP\n", "line 3: well A01 stands twice"),
        ("well,genotype\n1A,WT\n", "line 2: '1A'"),
        ("well,genotype\n", "no well"),
    ],
)
def test_a_map_that_is_none_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"map\.csv.*{word}"):
        read_platemap(path)
