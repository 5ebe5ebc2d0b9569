"""Writing what a check found: JSON, a figure, and one page of HTML that stands alone.

Names are the same for every check, so that MLflow shows those of two runs side by side.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from normgate.check.diagnosis_figure import draw_diagnosis
from normgate.contract import write_atomic
from normgate.page import code, document, mark, picture, table
from normgate.transform.view import draw_views

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from normgate.acquisitions.diagnosis import ChannelDiagnosis, Diagnosis
    from normgate.check.checked import Checked
    from normgate.gate import Finding

MOST_METRICS = 200
JSON_NAME, HTML_NAME, FIGURE_NAME = "check.json", "check.html", "check.png"
DIAGNOSIS_FIGURE, DIAGNOSIS_TEXT = "diagnose.png", "diagnose.txt"
_CHANNEL_HEAD = ("channel", "raw mean", "raw std", "zeros", "mean", "std", "")
_COMPUTED_HEAD = ("configuration", "tool", "stage", "input", "what is done to it")
_HEAD = ("finding", "found", "threshold", "basis", "what it says")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of one check."""

    page: Path
    record: Path
    figure: Path | None
    """None for configurations: they have no intensities."""
    diagnosis: tuple[Path, ...] = ()
    """Its figure and its text, of acquisitions."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        figures = () if self.figure is None else (self.figure,)
        return self.page, self.record, *figures, *self.diagnosis


def write_report(checked: Checked, out: Path) -> Written:
    """Write the page, the record and the figure of a check to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    written = Written(
        page=out / HTML_NAME,
        record=out / JSON_NAME,
        figure=None if checked.kind == "configurations" else out / FIGURE_NAME,
        diagnosis=_write_diagnosis(checked.diagnosis, out),
    )
    if written.figure is not None:
        draw_views(checked.channels, written.figure)
    record = json.dumps(checked.record(), indent=2, allow_nan=False)
    write_atomic(written.record, (record + "\n").encode())
    drawn = [
        path.read_bytes() for path in (written.figure, *written.diagnosis[:1]) if path
    ]
    write_atomic(written.page, page(checked, *drawn).encode())
    return written


def _write_diagnosis(found: Diagnosis | None, out: Path) -> tuple[Path, ...]:
    if found is None:
        return ()
    figure, text = out / DIAGNOSIS_FIGURE, out / DIAGNOSIS_TEXT
    draw_diagnosis(found, figure)
    write_atomic(text, found.text().encode())
    return figure, text


def text_table(checked: Checked) -> str:
    """The findings as lines for a terminal, the worst first; green ones are counted."""
    lines = [checked.headline]
    for one in checked.findings:
        if one.level != "green":
            lines.append(f"  {one.level:<6} {one.name}: {one.sentence} {one.mend}")
    lines += [f"  not read: {why}" for why in checked.quarantined]
    if checked.diagnosis is not None:
        lines += [f"  {sentence}" for sentence in checked.diagnosis.sentences()]
    return "\n".join(line.rstrip() for line in lines)


def page(checked: Checked, png: bytes = b"", diagnosis_png: bytes = b"") -> str:
    """The report as HTML without any outside address.

    Args:
        checked: What was found.
        png: The figure; none of configurations.
        diagnosis_png: The figure of every channel, where there is a diagnosis.
    """
    shown = [one for one in checked.findings if one.level != "green"]
    calm = [one for one in checked.findings if one.level == "green"]
    return document(
        f"check: {checked.level}",
        [
            f"<h1>Check: {mark(checked.level, checked.level)}</h1>",
            f"<p class='said'>{html.escape(checked.headline)}</p>",
            _table(shown) if shown else "<p>Nothing to look at.</p>",
            _diagnosis(checked.diagnosis, diagnosis_png),
            _intensities(checked, png) if png else _computed(checked),
            _list("Could not be read", checked.quarantined),
            f"<details><summary>{len(calm)} green findings</summary>{_table(calm)}"
            "</details>",
        ],
    )


def _intensities(checked: Checked, png: bytes) -> str:
    return (
        "<h2>Intensities before and after</h2>"
        + _first_channels(checked)
        + picture(png, "Histograms of each channel before and after the spec")
    )


def _computed(checked: Checked) -> str:
    """What each configuration does, in words."""
    rows = (
        (code(name), *map(html.escape, words))
        for name, *words in map(astuple, checked.computed)
    )
    return "<h2>What each file does</h2>" + table(_COMPUTED_HEAD, rows, numbers=0)


def _diagnosis(found: Diagnosis | None, png: bytes) -> str:
    """Every channel, as sentences, a figure and a table."""
    if found is None:
        return ""
    says = "Mean and std of every channel before and after the spec, and panel orders"
    rows = map(_channel_row, found.channels)
    return (
        _list("All channels before and after", found.sentences())
        + picture(png, says)
        + f"<details><summary>{len(found.channels)} channels in numbers</summary>"
        + table(_CHANNEL_HEAD, rows, numbers=5)
        + "</details>"
    )


def _channel_row(one: ChannelDiagnosis) -> tuple[str, ...]:
    after = ("" if x is None else f"{x:.3f}" for x in (one.mean, one.std))
    return (
        code(one.name),
        f"{one.raw_mean:.4g}",
        f"{one.raw_std:.4g}",
        f"{one.zero:.2%}",
        *after,
        mark(one.mark, "red" if one.mark == "dead" else "yellow") if one.mark else "",
    )


def _first_channels(checked: Checked) -> str:
    """A histogram costs more than a mean, so of many channels the first have one."""
    total = 0 if checked.diagnosis is None else len(checked.diagnosis.channels)
    if total <= len(checked.channels):
        return ""
    return f"<p>The first {len(checked.channels)} of {total} channels.</p>"


def _table(findings: Iterable[Finding]) -> str:
    return table(_HEAD, map(_row, findings), numbers=2)


def _row(one: Finding) -> tuple[str, ...]:
    mend = f"<span class='mend'>{html.escape(one.mend)}</span>" if one.mend else ""
    return (
        f"{mark(one.level, one.level)} {code(one.name)}",
        f"{one.value:.4g}",
        f"{one.threshold:.4g}",
        one.basis,
        html.escape(one.sentence) + mend,
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def metrics(checked: Checked) -> dict[str, float]:
    """Findings as metrics of a run, and how many there are of each level.

    Where there are more than a page of a run can show, green ones are left out.
    """
    many = len(checked.findings) > MOST_METRICS
    found = {
        f"check.{one.name}": one.value
        for one in checked.findings
        if math.isfinite(one.value) and not (many and one.level == "green")
    }
    counts = checked.counts.items()
    return found | {f"check.{level}": float(count) for level, count in counts}
