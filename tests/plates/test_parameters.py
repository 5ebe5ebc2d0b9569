"""Text from MLproject becomes values, or a sentence that says what was expected."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from normgate.errors import SettingsError
from normgate.plates.parameters import (
    mask_option,
    names_in_file,
    percentile_pair,
    whole_numbers,
    words,
)
from normgate.plates.progress import LoggedProgress

if TYPE_CHECKING:
    from pathlib import Path


def test_text_becomes_values(tmp_path: Path) -> None:
    assert words(" a, b ,,c") == ("a", "b", "c")
    assert whole_numbers("t", "0,10000") == (0, 10000)
    assert whole_numbers("t", "") == ()
    assert percentile_pair("0.5, 99.9") == (Decimal("0.5"), Decimal("99.9"))
    assert mask_option("none") == (None, False)
    assert mask_option("nonzero") == (0, False)
    assert mask_option("above:120") == (120, False)
    assert mask_option("files") == (None, True)
    (tmp_path / "groups.txt").write_text("P1:A01\n\nP1:A02\n")
    found = names_in_file("groups", tmp_path / "groups.txt")
    assert found == {"P1:A01", "P1:A02"}
    assert names_in_file("groups", None) == frozenset()


@pytest.mark.parametrize("text", ["-1", "1.5", "0,x", "5,5", "9,1"])
def test_numbers_must_be_whole_and_rising(text: str) -> None:
    with pytest.raises(SettingsError, match="timepoint is"):
        whole_numbers("timepoint", text)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,99"])
def test_percentiles_must_be_two_numbers(text: str) -> None:
    with pytest.raises(SettingsError, match="percentiles is"):
        percentile_pair(text)


@pytest.mark.parametrize("text", ["", "above", "above:", "above:-1", "otsu"])
def test_masks_must_be_known(text: str) -> None:
    with pytest.raises(SettingsError, match="mask is"):
        mask_option(text)


def test_an_empty_file_of_groups_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups.txt").write_text("\n")
    for name in ("groups.txt", "none.txt"):
        with pytest.raises(SettingsError, match=name):
            names_in_file("groups", tmp_path / name)


def test_progress_says_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    progress = LoggedProgress("measured", "pictures", every_s=5, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        for done in range(0, 1001, 100):
            progress(done, 1000)
            now[0] += 2
    lines = [record.message for record in caplog.records]
    assert lines[0] == (
        "measured 300 of 1,000 pictures (30%), 50 a second, 0 min 14 s left"
    )
    assert lines[-1] == "measured 1,000 of 1,000 pictures (100%), 50 a second"
    assert len(lines) == 4


def test_a_resumed_job_has_no_rate_of_before(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    progress = LoggedProgress("measured", "pictures", every_s=5, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        progress(900, 1000)
        now[0] = 10.0
        progress(950, 1000)
    assert "5 a second, 0 min 10 s left" in caplog.records[-1].message
