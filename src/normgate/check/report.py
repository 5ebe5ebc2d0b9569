"""Writing what a check found: JSON, a figure, and one page of HTML that stands alone.

Names are the same for every check, so that MLflow shows those of two runs side by side.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract import write_atomic
from normgate.page import document, mark, picture, table
from normgate.transform.view import draw_views

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from normgate.check.checked import Checked
    from normgate.gate import Finding

JSON_NAME, HTML_NAME, FIGURE_NAME = "check.json", "check.html", "check.png"
_HEAD = ("finding", "found", "threshold", "basis", "what it says")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of one check."""

    page: Path
    record: Path
    figure: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.page, self.record, self.figure


def write_report(checked: Checked, out: Path) -> Written:
    """Write the page, the record and the figure of a check to a folder."""
    written = Written(
        page=out / HTML_NAME, record=out / JSON_NAME, figure=out / FIGURE_NAME
    )
    out.mkdir(parents=True, exist_ok=True)
    draw_views(checked.channels, written.figure)
    record = json.dumps(checked.record(), indent=2, allow_nan=False)
    write_atomic(written.record, (record + "\n").encode())
    write_atomic(written.page, page(checked, written.figure.read_bytes()).encode())
    return written


def text_table(checked: Checked) -> str:
    """The findings as lines for a terminal, the worst first; green ones are counted."""
    lines = [checked.headline]
    for one in checked.findings:
        if one.level != "green":
            lines.append(f"  {one.level:<6} {one.name}: {one.sentence} {one.mend}")
    lines += [f"  not read: {why}" for why in checked.quarantined]
    return "\n".join(line.rstrip() for line in lines)


def page(checked: Checked, png: bytes) -> str:
    """The report as HTML without any outside address.

    Args:
        checked: What was found.
        png: The figure.
    """
    shown = [one for one in checked.findings if one.level != "green"]
    calm = [one for one in checked.findings if one.level == "green"]
    return document(
        f"check: {checked.level}",
        [
            f"<h1>Check: {mark(checked.level, checked.level)}</h1>",
            f"<p class='said'>{html.escape(checked.headline)}</p>",
            _table(shown) if shown else "<p>Nothing to look at.</p>",
            "<h2>Intensities before and after</h2>",
            picture(png, "Histograms of each channel before and after the spec"),
            _list("Could not be read", checked.quarantined),
            f"<details><summary>{len(calm)} green findings</summary>{_table(calm)}"
            "</details>",
        ],
    )


def _table(findings: Iterable[Finding]) -> str:
    return table(_HEAD, map(_row, findings), numbers=2)


def _row(one: Finding) -> tuple[str, ...]:
    mend = f"<span class='mend'>{html.escape(one.mend)}</span>" if one.mend else ""
    return (
        f"{mark(one.level, one.level)} <code>{html.escape(one.name)}</code>",
        f"{one.value:.4g}",
        f"{one.threshold:.4g}",
        one.basis,
        html.escape(one.sentence) + mend,
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def metrics(checked: Checked) -> dict[str, float]:
    """Findings as metrics of a run, and how many there are of each level."""
    found = {
        f"check.{one.name}": one.value
        for one in checked.findings
        if math.isfinite(one.value)
    }
    counts = checked.counts.items()
    return found | {f"check.{level}": float(count) for level, count in counts}
