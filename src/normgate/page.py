"""A page of HTML that stands alone: style, tables, pictures, no outside address."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: #1a202c; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
p.said { color: #4a5568; margin-top: .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid #e2e8f0; } th { font-weight: 600; }
td:last-child { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
code { font-size: .85em; }
.level { font-weight: 600; padding: .1rem .5rem; border-radius: .6rem;
  white-space: nowrap; }
.red { background: #fed7d7; color: #822727; }
.yellow { background: #fefcbf; color: #744210; }
.green { background: #c6f6d5; color: #22543d; }
.mend { color: #4a5568; display: block; margin-top: .2rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.pair img { flex: 1 1 26rem; max-width: 100%; min-width: 0; }
img { max-width: 100%; } summary { cursor: pointer; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem 0; color: #4a5568; }
"""
_NUMBER = " class='number'"


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: Plain text.
        parts: HTML; empty ones are left out.
    """
    head = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *filter(None, parts), "</body></html>"]) + "\n"


def code(text: str) -> str:
    """A name, plain text, that may break after its dots and slashes."""
    broken = html.escape(text)
    for end in "./":
        broken = broken.replace(end, f"{end}<wbr>")
    return f"<code>{broken}</code>"


def picture(png: bytes, says: str) -> str:
    """A picture inside the page.

    Args:
        png: Its bytes.
        says: What it shows, for who can't see it.
    """
    data = base64.b64encode(png).decode()
    return f"<img alt='{html.escape(says)}' src='data:image/png;base64,{data}'>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table of HTML cells.

    Args:
        head: The columns' names, plain text.
        rows: Cells as HTML; who has text escapes it.
        numbers: How many columns after the first hold numbers.
    """
    names = "".join(
        f"<th{_NUMBER if 1 <= at <= numbers else ''}>{html.escape(name)}</th>"
        for at, name in enumerate(head)
    )
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td{_NUMBER if 1 <= at <= numbers else ''}>{cell}</td>"
            for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return f"<div class='scroll'><table><tr>{names}</tr>{lines}</table></div>"


def mark(text: str, level: str) -> str:
    """A short text on a ground of `red`, `yellow` or `green`."""
    return f"<span class='level {level}'>{html.escape(text)}</span>"
