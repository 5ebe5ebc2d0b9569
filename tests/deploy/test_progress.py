"""Progress says how far, how fast, how long still, and not too often."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from normgate.deploy.progress import Progress

if TYPE_CHECKING:
    import pytest


def test_a_line_is_said_every_few_seconds_and_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = iter(float(second) for second in range(1000))
    with caplog.at_level(logging.INFO):
        progress = Progress(10, every_s=8, clock=lambda: next(now))
        for _ in range(10):
            progress.add(sites=1, images=6, quarantined=0)
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("8/10 sites (80 %), 0.9 sites/s, 5.3 images/s, 0:00:02")
    assert last.startswith("10/10 sites (100 %)")
    assert "quarantined" not in last


def test_quarantine_is_said_and_nothing_to_do_is_no_division_by_zero() -> None:
    progress = Progress(4)
    progress.add(sites=2, images=8, quarantined=2)
    assert progress.line().startswith("2/4 sites (50 %)")
    assert progress.line().endswith("2 quarantined")
    assert Progress(0).line().startswith("0/0 sites")
