"""The report: one page that stands alone, JSON for machines, metrics for a run."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.check.facts import distribution

from normgate.check import BLOCKED, Checked, write_report
from normgate.check.report import metrics, text_table
from normgate.contract import read_spec
from normgate.gate import Finding
from normgate.gate.finding import ranked
from normgate.transform.view import ChannelView

if TYPE_CHECKING:
    from normgate.gate.vitals import Level

SPECS = Path(__file__).resolve().parents[2] / "contracts" / "specs"
CHANNEL = read_spec(SPECS / "plate_3ch.json").channels[0]
COUNTS = distribution({v: 1 + v % 7 for v in range(900, 9000)})


def found(level: Level, value: float = 0.5, sentence: str = "It is so.") -> Finding:
    return Finding(
        name=f"data.A.{level}",
        value=value,
        threshold=0.1,
        basis="judgement",
        level=level,
        sentence=sentence,
        culprit="A",
        mend="Mend it." if level != "green" else "",
    )


def checked(*findings: Finding) -> Checked:
    view = ChannelView(
        name="RFP1", channel=CHANNEL, before=COUNTS, after=COUNTS.through(CHANNEL)
    )
    return Checked(
        kind="plates",
        source="plates.csv",
        source_digest="0" * 64,
        spec_digest="1" * 64,
        looked_at="3 of 4 pictures read, 2 of 2 rows",
        findings=ranked(findings),
        channels=(view,),
        quarantined=("broken.tif can't be read",),
    )


ALL = checked(found("green"), found("red", math.inf, "<b>&"), found("yellow"))


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]


def test_the_page_has_no_outside_address(tmp_path: Path) -> None:
    text = write_report(ALL, tmp_path).page.read_text()
    page = _Addresses()
    page.feed(text)
    assert [address[:22] for address in page.found] == ["data:image/png;base64,"]
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "&lt;b&gt;&amp;" in text
    assert "broken.tif" in text


def test_the_record_is_json_without_infinity(tmp_path: Path) -> None:
    record = json.loads(write_report(ALL, tmp_path).record.read_text())
    assert record["level"] == "red"
    assert record["counts"] == {"red": 1, "yellow": 1, "green": 1}
    assert [one["level"] for one in record["findings"]] == ["red", "yellow", "green"]
    assert record["findings"][0]["value"] is None
    assert record["findings"][1]["mend"] == "Mend it."


def test_a_run_gets_finite_numbers_and_counts() -> None:
    assert metrics(ALL) == {
        "check.data.A.green": 0.5,
        "check.data.A.yellow": 0.5,
        "check.red": 1.0,
        "check.yellow": 1.0,
        "check.green": 1.0,
    }


def test_the_terminal_shows_what_is_not_green_the_worst_first() -> None:
    head, *lines = text_table(ALL).splitlines()
    assert "1 red, 1 yellow, 1 green (3 of 4 pictures read" in head
    assert [line.split()[0] for line in lines] == ["red", "yellow", "not"]


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        pytest.param((), 0, id="nothing"),
        pytest.param(("green", "yellow"), 0, id="yellow"),
        pytest.param(("green", "red"), BLOCKED, id="red"),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    levels: tuple[Level, ...], code: int
) -> None:
    assert checked(*map(found, levels)).exit_code == code
