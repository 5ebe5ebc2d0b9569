"""The report of an analysis for who grew the cells: one page that stands alone."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from normgate.contract import short_digest
from normgate.page import document, mark, picture, table
from normgate.plates.concordance import seed_share
from normgate.plates.figures import safe_name
from normgate.plates.glossary import glossary
from normgate.plates.statistics import NOMINAL
from normgate.plates.undefined import undefined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from normgate.plates.treatments import Analysis

NAME = "report.html"
ALPHA = 0.05
_SHOWN = 40


def result_page(analyses: Sequence[Analysis], figures: Mapping[str, bytes]) -> str:
    """The report of a set of plates.

    Args:
        analyses: One for each model.
        figures: PNG by `<model>/<name>.png`, as `figures.write_figures` names them.
    """
    names = ", ".join(one.title for one in analyses)
    words = "".join(
        f"<dt>{html.escape(word)}</dt><dd>{html.escape(text)}</dd>"
        for word, text in glossary(analyses[0].scores.how).items()
    )
    parts = [f"<h1>Plates seen by {html.escape(names)}</h1>"]
    for one in analyses:
        parts += _model(one, figures)
    parts += ["<h2>How to read this</h2>", f"<dl>{words}</dl>"]
    return document(f"Plates: {names}", parts)


def _model(one: Analysis, figures: Mapping[str, bytes]) -> list[str]:
    def shown(name: str, says: str) -> str:
        png = figures.get(f"{safe_name(one.scores.model)}/{name}.png")
        return picture(png, says) if png else ""

    roles, found = one.scores.roles, one.predictions
    return [
        f"<h2>{html.escape(one.title)}: {html.escape(roles.disease)} to "
        f"{html.escape(roles.healthy)}</h2>",
        f"<p class='said'>{html.escape(_summary(one))}</p>",
        "<p class='said'>All rows were made by normalization "
        f"<code>{short_digest(found.spec_digest)}</code> and model "
        f"<code>{short_digest(found.manifest_digest)}</code>.</p>",
        "<h3>Controls: does the model tell them apart on each plate?</h3>",
        _controls(one),
        shown("controls", "Scores of control cells and wells on each plate"),
        "<h3>Treatments by rescue</h3>",
        shown("treatments", "Rescue of each treatment with its interval"),
        _treatments(one),
        "<h3>Dose response</h3>" if (dose := shown("doses", "Rescue by dose")) else "",
        dose and "<p class='said'>Points and intervals; no curve is fitted.</p>" + dose,
        "<h3>Plates</h3>",
        *[_plate(row, shown) for row in one.plates.to_dict("records")],
        "<h3>Do repeats agree?</h3>",
        _repeats(one),
        "<h3>What is undefined, and why</h3>",
        _undefined(one),
    ]


def _summary(one: Analysis) -> str:
    """The whole in a few sentences."""
    plates, table_ = one.plates, one.treatments
    hits = {
        side: int((table_["hit"] == side).sum()) for side in ("healthy", "diseased")
    }
    judged = int((table_["hit"] != "").sum())
    defined = int(plates["rescue_defined"].sum())
    text = (
        f"{len(one.wells)} wells and {len(one.scores.units)} cells or tiles on "
        f"{len(plates)} plate(s), by {len(one.scores.replicates)} replicate(s) of the "
        f"model. The controls carry a rescue scale on {defined} of {len(plates)} "
        "plate(s). "
    )
    if not judged:
        return text + "No treatment can be judged a hit; the reasons stand below."
    return text + (
        f"Of {judged} treatments that can be judged, {hits['healthy']} are hits "
        f"towards healthy and {hits['diseased']} away from it."
    )


def _controls(one: Analysis) -> str:
    names = ("auroc_wells", "ssmd", "z_prime", "robust_z_prime")
    rows = []
    for row in one.plates.to_dict("records"):
        known = row["rescue_defined"]
        state = mark("rescue defined", "green") if known else mark("undefined", "red")
        why = html.escape(str(row["note"] if known else row["reason"]))
        label = row["separation_interval"]
        wells = f"{row['disease_wells']}, {row['healthy_wells']}"
        rows.append([
            html.escape(str(row["plate"])), wells,
            *[_with_interval(row, name) for name in names],
            html.escape(str(label)),
            state + (f"<span class='mend'>{why}</span>" if why else ""),
        ])  # fmt: skip
    roles = one.scores.roles
    head = ["plate", f"wells {roles.disease}, {roles.healthy}", "AUROC", "SSMD", "Z'",
            "robust Z'", "intervals", "rescue"]  # fmt: skip
    return table(head, rows, numbers=5)


def _treatments(one: Analysis) -> str:
    maps = {
        (row["genotype"], row["treatment"]): row
        for row in one.retrieval.to_dict("records")
    }
    rows = []
    for row in one.treatments.to_dict("records"):
        own = maps.get((row["genotype"], row["treatment"]), {})
        interval = str(row["interval"])
        rows.append([
            html.escape(f"{row['treatment'] or '(none)'} on {row['genotype'] or '?'}"),
            _percent(row["rescue"]),
            f"{_percent(row['low'])} to {_percent(row['high'])}" if interval else "-",
            str(row["wells"]), f"{row['defined_plates']} of {row['plates']}",
            _percent(row["healthy_like"]), _number(row["robust_z"], 1),
            _number(own.get("map"), 2) + (f" (q {own['q']:.2g})" if own else ""),
            _hit(row),
            mark(interval, "yellow") if interval and interval != NOMINAL
            else html.escape(interval or str(row["reason"])),
        ])  # fmt: skip
    head = ["treatment", "rescue %", "95% interval", "wells", "plates",
            "like healthy %", "robust z", "mAP", "hit", "interval"]  # fmt: skip
    first, rest = rows[:_SHOWN], rows[_SHOWN:]
    more = (
        f"<details><summary>{len(rest)} more treatments</summary>"
        f"{table(head, rest, numbers=7)}</details>"
        if rest
        else ""
    )
    return table(head, first, numbers=7) + more if rows else "<p>None.</p>"


def _hit(row: Mapping[Any, Any]) -> str:
    if row["hit"] == "healthy":
        return mark("towards healthy", "green")
    if row["hit"] == "diseased":
        return mark("away from healthy", "red")
    return "no" if row["hit"] == "no" else "undefined"


def _plate(row: Mapping[Any, Any], shown: Any) -> str:
    plate = str(row["plate"])
    pictures = [
        shown(f"plate-{safe_name(plate)}", f"Heat map of plate {plate}"),
        shown(f"residual-{safe_name(plate)}", f"Residuals of plate {plate}"),
    ]
    if row["edge_reason"]:
        edge = f"Edge effect undefined: {row['edge_reason']}."
    else:
        edge = (
            f"Edge minus inside {row['edge_difference']:+.2f} in score, "
            f"p {row['edge_p']:.2g} ({row['edge_wells']} wells at the edge)."
        )
    if row["polish_note"]:
        edge += f" Residuals: {row['polish_note']}."
    found = not row["edge_reason"] and row["edge_p"] <= ALPHA
    level = mark("edge effect", "yellow") + " " if found else ""
    return (
        f"<p><b>Plate {html.escape(plate)}.</b> {level}{html.escape(edge)}</p>"
        f"<div class='pair'>{''.join(pictures)}</div>"
    )


def _repeats(one: Analysis) -> str:
    rows = [
        [
            html.escape(f"{row['kind']} {row['one']} and {row['other']}"),
            str(row["shared"]),
            _number(row["r"], 2),
            f"{_number(row['low'], 2)} to {_number(row['high'], 2)}",
        ]
        for row in one.concordance.to_dict("records")
        if not row["reason"]
    ]
    share = seed_share(one.scores)
    text = (
        "<p class='said'>Replicates of the model move a well's score by "
        f"{share:.0%} of the spread between wells.</p>"
        if math.isfinite(share)
        else ""
    )
    head = ["pair", "in common", "correlation", "95% interval"]
    return (
        table(head, rows, numbers=3) if rows else "<p>Nothing to compare.</p>"
    ) + text


def _undefined(one: Analysis) -> str:
    rows = [[html.escape(u.what), html.escape(u.why)] for u in undefined(one)]
    return table(["what", "why"], rows) if rows else "<p>Nothing.</p>"


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    value = _number(row[name], 2)
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not (math.isfinite(low) and math.isfinite(high)):
        return value
    return f"{value}<span class='mend'>{low:.2f} to {high:.2f}</span>"


def _number(value: float | None, digits: int) -> str:
    known = value is not None and math.isfinite(value)
    return f"{value:.{digits}f}" if known else "undefined"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}" if math.isfinite(value) else "undefined"
