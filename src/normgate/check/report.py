"""Writing what a check found: JSON, a figure, and one page of HTML that stands alone.

Names are the same for every check, so that MLflow shows those of two runs side by side.
"""

from __future__ import annotations

import base64
import html
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normgate.contract import write_atomic
from normgate.transform.view import draw_views

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from normgate.check.checked import Checked
    from normgate.gate import Finding

JSON_NAME, HTML_NAME, FIGURE_NAME = "check.json", "check.html", "check.png"
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: #1a202c; background: #fff; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.said { color: #4a5568; margin-top: .3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid #e2e8f0; } th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
code { font-size: .85em; white-space: nowrap; }
.level { font-weight: 600; padding: .1rem .5rem; border-radius: .6rem; }
.red { background: #fed7d7; color: #822727; }
.yellow { background: #fefcbf; color: #744210; }
.green { background: #c6f6d5; color: #22543d; }
.mend { color: #4a5568; display: block; margin-top: .2rem; }
img { max-width: 100%; } summary { cursor: pointer; }
"""
_HEAD = (
    "<tr><th>level</th><th>finding</th><th>found</th><th>threshold</th>"
    "<th>basis</th><th>what it says</th></tr>"
)


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
    said = html.escape(checked.headline)
    picture = base64.b64encode(png).decode()
    shown = [one for one in checked.findings if one.level != "green"]
    calm = [one for one in checked.findings if one.level == "green"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>check: {html.escape(checked.level)}</title><style>{_STYLE}</style>",
        f"</head><body><h1>Check: {_mark(checked.level)}</h1>",
        f"<p class='said'>{said}</p>",
        _table(shown) if shown else "<p>Nothing to look at.</p>",
        "<h2>Intensities before and after</h2>",
        f"<img alt='Histograms of each channel before and after the spec' "
        f"src='data:image/png;base64,{picture}'>",
        _list("Could not be read", checked.quarantined),
        f"<details><summary>{len(calm)} green findings</summary>{_table(calm)}"
        "</details></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _table(findings: Iterable[Finding]) -> str:
    rows = "".join(_row(one) for one in findings)
    return f"<table>{_HEAD}{rows}</table>"


def _row(one: Finding) -> str:
    mend = f"<span class='mend'>{html.escape(one.mend)}</span>" if one.mend else ""
    return (
        f"<tr><td>{_mark(one.level)}</td><td><code>{html.escape(one.name)}</code></td>"
        f"<td class='number'>{one.value:.4g}</td>"
        f"<td class='number'>{one.threshold:.4g}</td><td>{one.basis}</td>"
        f"<td>{html.escape(one.sentence)}{mend}</td></tr>"
    )


def _mark(level: str) -> str:
    return f"<span class='level {level}'>{level}</span>"


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
